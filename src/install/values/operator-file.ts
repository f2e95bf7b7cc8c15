// SPDX-License-Identifier: Apache-2.0
// istioctl's own file form: kind IstioControlPlane (install.istio.io/v1alpha2, Istio 1.4) or IstioOperator (v1alpha1, from
// 1.5 on). What it says of hub, gateways and DNS becomes the value of that meaning; `spec.values` is Helm's as it stands.
import { closestName } from '../../api/closest-name.ts';
import { isTree, type RawTree, type RawValue } from './helm-set.ts';
import { type GATEWAY_NAMES, ISTIO_NAMESPACE } from './values.ts';
import { ValuesError } from './values-error.ts';

export interface TranslatedFile {
  readonly values: RawTree;
  readonly profile: RawValue | undefined;
  /** The steps in the file from which the value of these steps came. */
  readonly origin: (path: readonly string[]) => readonly string[];
  readonly notices: readonly { path: string; reason: string }[];
}

type LineOf = (path: readonly string[]) => string;

const KINDS = ['IstioControlPlane', 'IstioOperator'];
/** Field of spec -> the value that it sets. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  'spec.hub': ['global', 'hub'],
  'spec.tag': ['global', 'tag'],
  'spec.gateways.enabled': ['gateways', 'enabled'],
  'spec.gateways.components.ingressGateway.enabled': ['gateways', 'istio-ingressgateway', 'enabled'],
  'spec.gateways.components.egressGateway.enabled': ['gateways', 'istio-egressgateway', 'enabled'],
  'spec.coreDNS.enabled': ['istiocoredns', 'enabled'],
  'spec.coreDNS.components.coreDNS.enabled': ['istiocoredns', 'enabled'],
  'spec.addonComponents.istiocoredns.enabled': ['istiocoredns', 'enabled'],
};
/** Parts of Istio's own anatomy, and what is said elsewhere here. */
const FOREIGN: readonly string[] = [
  ...['trafficManagement', 'policy', 'telemetry', 'security', 'configManagement', 'autoInjection', 'thirdParty', 'cni'],
  ...['defaultNamespacePrefix', 'resourceSuffix', 'revision', 'meshConfig', 'components', 'addonComponents', 'coreDNS'],
  'gateways',
];
const LISTS: Readonly<Record<string, (typeof GATEWAY_NAMES)[number]>> = {
  'spec.components.ingressGateways': 'istio-ingressgateway',
  'spec.components.egressGateways': 'istio-egressgateway',
};

/** Members of `spec` that istioctl's --set names, too, and Helm's does not. */
export function isOperatorMember(name: string | number | undefined): boolean {
  return (
    typeof name === 'string' && ['components', 'addonComponents', 'hub', 'tag', 'namespace', 'revision'].includes(name)
  );
}

export function isOperatorObject(tree: RawTree): boolean {
  return typeof tree['kind'] === 'string' && KINDS.includes(tree['kind']);
}

/** @throws ValuesError with the line of a member that neither form has */
export function translateOperator(object: RawTree, lineOf: LineOf): TranslatedFile {
  const values: RawTree = {};
  const origins = new Map<string, readonly string[]>();
  const notices: { path: string; reason: string }[] = [];
  let profile: RawValue | undefined;
  const { spec = null } = object;
  if (spec !== null && !isTree(spec)) throw new ValuesError(`${lineOf(['spec'])}: spec is a group`);
  const put = (target: readonly string[], value: RawValue, from: readonly string[]): void => {
    let at = values;
    for (const step of target.slice(0, -1)) {
      if (!isTree(at[step])) at[step] = {};
      at = at[step] as RawTree;
    }
    at[target.at(-1)!] = value;
    origins.set(target.join('.'), from);
  };
  const visit = (value: RawValue, from: readonly string[]): void => {
    const path = from.join('.');
    const list = LISTS[path];
    const isSetting = from.length > 2 && from[1] === 'meshConfig';
    if (list !== undefined && Array.isArray(value)) takeGateways(value, list, from);
    else if (Object.hasOwn(SAME, path)) put(SAME[path]!, value, from);
    else if (isSetting && !(isTree(value) && Object.keys(value).length > 0)) put(from.slice(1), value, from);
    else if (isTree(value)) for (const [name, member] of Object.entries(value)) visit(member, [...from, name]);
    // What is switched off is as here.
    else if (!(from.at(-1) === 'enabled' && value === false)) {
      notices.push({ path, reason: 'this mesh has no such part' });
    }
  };
  const takeGateways = (list: readonly RawValue[], only: (typeof GATEWAY_NAMES)[number], from: readonly string[]) => {
    for (const item of list) {
      if (!isTree(item)) throw new ValuesError(`${lineOf(from)}: ${from.join('.')} is a list of gateways with names`);
      const { name = only, enabled = true } = item;
      if (name !== only) {
        const message = `${from.join('.')}: this mesh installs one of them, ${only}, and not ${String(name)}`;
        throw new ValuesError(`${lineOf(from)}: ${message}`);
      }
      put(['gateways', only, 'enabled'], enabled, from);
      if (item['k8s'] !== undefined)
        notices.push({ path: `${from.join('.')}.k8s`, reason: 'this mesh has no such part' });
    }
  };
  for (const [name, value] of Object.entries(spec ?? {})) {
    const from = ['spec', name];
    if (name === 'values' || name === 'unvalidatedValues') continue;
    if (name === 'profile') profile = value;
    else if (name === 'namespace' || name === 'defaultNamespace') checkNamespace(name, value, lineOf);
    else if (FOREIGN.includes(name) || Object.hasOwn(SAME, `spec.${name}`)) visit(value, from);
    else throw unknownMember(name, lineOf);
  }
  for (const group of ['unvalidatedValues', 'values']) {
    const own = spec?.[group] ?? null;
    if (own !== null && !isTree(own)) throw new ValuesError(`${lineOf(['spec', group])}: spec.${group} is a group`);
    overlay(values, own ?? {});
  }
  return { values, profile, notices, origin: (path) => originOf(path, origins) };
}

function originOf(path: readonly string[], origins: ReadonlyMap<string, readonly string[]>): readonly string[] {
  return origins.get(path.join('.')) ?? ['spec', 'values', ...path];
}

function overlay(below: RawTree, above: RawTree): void {
  for (const [name, value] of Object.entries(above)) {
    const current = Object.hasOwn(below, name) ? below[name] : undefined;
    if (isTree(current) && isTree(value)) overlay(current, value);
    else below[name] = value;
  }
}

function checkNamespace(name: string, value: RawValue, lineOf: LineOf): void {
  if (value === ISTIO_NAMESPACE || value === null) return;
  throw new ValuesError(`${lineOf(['spec', name])}: the mesh is installed in ${ISTIO_NAMESPACE} and nowhere else`);
}

function unknownMember(name: string, lineOf: LineOf): ValuesError {
  const known = ['values', 'profile', 'namespace', 'hub', 'tag', ...FOREIGN];
  const nearest = closestName(name, known);
  const hint = nearest === undefined ? `known here: ${known.join(', ')}` : `did you mean spec.${nearest}?`;
  return new ValuesError(`${lineOf(['spec', name])}: there is no spec.${name}; ${hint}`);
}
