// SPDX-License-Identifier: Apache-2.0
// `meshConfig`, as istioctl and Istio's charts take it: the mesh's settings themselves, which the control plane reads. What
// has a value of its own here, which more than the control plane goes by, becomes that value.
import { decodeMeshConfig } from '../../api/mesh-config.ts';
import type { Locate } from './check-values.ts';
import { assign, isTree, type RawTree, type RawValue } from './helm-set.ts';
import { ISTIO_NAMESPACE, type Values } from './values.ts';
import { ValuesError } from './values-error.ts';

type Steps = readonly (string | number)[];

/** Setting -> the value that says it. */
const VALUE_OF: Readonly<Record<string, readonly string[]>> = {
  accessLogFile: ['global', 'proxy', 'accessLogFile'],
  configDelivery: ['global', 'configDelivery'],
  gatewayServices: ['global', 'gatewayServices'],
  trustDomain: ['global', 'trustDomain'],
  'outboundTrafficPolicy.mode': ['global', 'outboundTrafficPolicy', 'mode'],
};
const GROUP = 'meshConfig';

/** The steps at which a value stands here, of those that the user wrote. */
export function placeSteps(steps: Steps): Steps {
  return steps[0] === GROUP ? (VALUE_OF[steps.slice(1).join('.')] ?? steps) : steps;
}

/** The same of all that a file says; `locate` finds what has been placed where it was written. */
export function placeMeshSettings(tree: RawTree, locate: Locate): { tree: RawTree; locate: Locate } {
  if (!isTree(tree[GROUP])) return { tree, locate };
  const placed = structuredClone(tree);
  const origins = new Map<string, string>();
  for (const [setting, target] of Object.entries(VALUE_OF)) {
    const from = [GROUP, ...setting.split('.')];
    const value = take(placed, from);
    if (value === undefined) continue;
    assign(placed, { steps: target, value });
    origins.set(target.join('.'), from.join('.'));
  }
  return { tree: placed, locate: (path) => locate(origins.get(path) ?? path) };
}

/** What ConfigMap `istio` holds as `mesh`. */
export function meshSettings({ global, meshConfig }: Values): RawTree {
  const { trustDomain, proxy, outboundTrafficPolicy, configDelivery, gatewayServices } = global;
  const { outboundTrafficPolicy: policy = {}, ...others } = meshConfig;
  return {
    accessLogFile: proxy.accessLogFile,
    trustDomain,
    rootNamespace: ISTIO_NAMESPACE,
    outboundTrafficPolicy: isTree(policy) ? { ...outboundTrafficPolicy, ...policy } : policy,
    configDelivery,
    gatewayServices,
    ...others,
  };
}

/**
 * As the control plane will read it.
 * @returns what has no effect, a sentence each
 * @throws ValuesError for what it would refuse
 */
export function checkMeshSettings(values: Values): string[] {
  const metadata = { name: 'istio', namespace: ISTIO_NAMESPACE };
  const data = { mesh: JSON.stringify(meshSettings(values)) };
  const { diagnostics } = decodeMeshConfig({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  const told = diagnostics.map(({ severity, field, message, cure }) => {
    const text = `${field.replace('data.mesh', GROUP)}: ${message}${cure === '' ? '' : `: ${cure}`}`;
    return { isError: severity === 'error', text };
  });
  const errors = told.filter(({ isError }) => isError);
  if (errors.length > 0) throw new ValuesError(errors.map(({ text }) => text).join('\n'));
  return told.map(({ text }) => text);
}

/** Takes a member out of its group, and the group when nothing else is in it. */
function take(tree: RawTree, [name = '', ...rest]: readonly string[]): RawValue | undefined {
  const member = Object.hasOwn(tree, name) ? tree[name] : undefined;
  if (rest.length === 0) {
    delete tree[name];
    return member;
  }
  if (!isTree(member)) return undefined;
  const value = take(member, rest);
  if (value !== undefined && Object.keys(member).length === 0) delete tree[name];
  return value;
}
