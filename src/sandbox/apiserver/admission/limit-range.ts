// SPDX-License-Identifier: Apache-2.0
// LimitRanges: requests and limits that containers get, and the bounds of what they may ask for.
// https://kubernetes.io/docs/concepts/policy/limit-range/
import type { KubeObject } from '../../../kube/types.ts';
import type { AdmissionRequest, ClusterObjects } from '../seams.ts';
import { forbidden, type GroupResource } from '../status.ts';
import { createsPod } from './pod-types.ts';
import { nano, sum, type Usage } from './quota-usage.ts';

const LIMIT_RANGES: GroupResource = { group: '', resource: 'limitranges' };
const ANNOTATION = 'kubernetes.io/limit-ranger';

interface LimitItem {
  type: string;
  max?: Usage;
  min?: Usage;
  default?: Usage;
  defaultRequest?: Usage;
  maxLimitRequestRatio?: Usage;
}

interface Container {
  name: string;
  restartPolicy?: string;
  resources?: { limits?: Usage; requests?: Usage };
}

interface Asked {
  readonly requests: Usage;
  readonly limits: Usage;
}

function limitItems(objects: ClusterObjects, namespace: string): LimitItem[] {
  const ranges = objects.list(LIMIT_RANGES, namespace) as readonly (KubeObject & { spec?: { limits?: LimitItem[] } })[];
  return ranges.flatMap(({ spec }) => spec?.limits ?? []);
}

/** Gives a new pod's containers what they did not ask for. Changes `pod` in place. */
export function applyLimitDefaults(pod: KubeObject, namespace: string, objects: ClusterObjects): void {
  const defaults = limitItems(objects, namespace).filter(({ type }) => type === 'Container');
  if (defaults.length === 0) return;
  const spec = pod['spec'] as { containers?: Container[]; initContainers?: Container[] };
  const said: string[] = [];
  for (const item of defaults) {
    for (const [word, list] of [
      ['container', spec.containers],
      ['init container', spec.initContainers],
    ] as const) {
      for (const container of list ?? []) {
        for (const kind of ['requests', 'limits'] as const) {
          const names = fill(container, kind, (kind === 'requests' ? item.defaultRequest : item.default) ?? {});
          if (names.length > 0) said.push(`${names.join(', ')} ${kind.slice(0, -1)} for ${word} ${container.name}`);
        }
      }
    }
  }
  if (said.length === 0) return;
  const text = `LimitRanger plugin set: ${said.join('; ')}`;
  pod.metadata.annotations = { ...pod.metadata.annotations, [ANNOTATION]: text };
}

/** The names that were missing. */
function fill(container: Container, kind: 'requests' | 'limits', defaults: Usage): string[] {
  container.resources ??= {};
  const given = container.resources[kind] ?? {};
  const names = Object.keys(defaults).filter((name) => given[name] === undefined);
  if (names.length === 0) return [];
  container.resources[kind] = { ...given, ...Object.fromEntries(names.map((name) => [name, defaults[name]!])) };
  return names.sort();
}

/** Throws ApiError 403 for a pod or claim beyond the bounds of its namespace. */
export function checkLimits(request: AdmissionRequest, object: KubeObject | undefined, objects: ClusterObjects): void {
  if (!object) return;
  const pod = createsPod(request);
  const { resource, operation, subresource, namespace } = request;
  const isClaim = resource.group === '' && resource.resource === 'persistentvolumeclaims';
  const claim = isClaim && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE');
  if (!pod && !claim) return;
  const problems = limitItems(objects, namespace).flatMap((item) => {
    const asked = pod ? podAsks(object, item.type) : claimAsks(object, item.type);
    return asked.flatMap((one) => boundProblems(item, one, claim));
  });
  const unique = [...new Set(problems)];
  if (unique.length === 0) return;
  const text = unique.length === 1 ? unique[0]! : `[${unique.join(', ')}]`;
  throw forbidden(resource, object.metadata.name ?? request.name, text);
}

function podAsks(pod: KubeObject, type: string): Asked[] {
  const { containers = [], initContainers = [] } = pod['spec'] as {
    containers?: Container[];
    initContainers?: Container[];
  };
  const of = ({ resources }: Container): Asked => ({
    requests: resources?.requests ?? {},
    limits: resources?.limits ?? {},
  });
  if (type === 'Container') return [...containers, ...initContainers].map(of);
  if (type !== 'Pod') return [];
  const side = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')].map(of);
  return [{ requests: sum(side.map(({ requests }) => requests)), limits: sum(side.map(({ limits }) => limits)) }];
}

function claimAsks(claim: KubeObject, type: string): Asked[] {
  const spec = claim['spec'] as { resources?: { requests?: Usage } } | undefined;
  return type === 'PersistentVolumeClaim' ? [{ requests: spec?.resources?.requests ?? {}, limits: {} }] : [];
}

function boundProblems(item: LimitItem, { requests, limits }: Asked, requestsOnly: boolean): string[] {
  const problems: string[] = [];
  const say = (bound: 'minimum' | 'maximum', name: string, value: string, what: string) =>
    problems.push(`${bound} ${name} usage per ${item.type} is ${value}${what}`);
  for (const [name, value] of Object.entries(item.min ?? {})) {
    const [request, limit] = [requests[name], limits[name]];
    if (request === undefined) say('minimum', name, value, '.  No request is specified');
    else if (nano(request) < nano(value)) say('minimum', name, value, `, but request is ${request}`);
    else if (limit !== undefined && nano(limit) < nano(value)) say('minimum', name, value, `, but limit is ${limit}`);
  }
  for (const [name, value] of Object.entries(item.max ?? {})) {
    const [request, limit] = [requests[name], limits[name]];
    if (requestsOnly) {
      if (request === undefined) say('maximum', name, value, '.  No request is specified');
      else if (nano(request) > nano(value)) say('maximum', name, value, `, but request is ${request}`);
    } else if (limit === undefined) say('maximum', name, value, '.  No limit is specified');
    else if (nano(limit) > nano(value)) say('maximum', name, value, `, but limit is ${limit}`);
    else if (request !== undefined && nano(request) > nano(value)) {
      say('maximum', name, value, `, but request is ${request}`);
    }
  }
  for (const [name, ratio] of Object.entries(item.maxLimitRequestRatio ?? {})) {
    const problem = ratioProblem(requests[name], limits[name], ratio);
    if (problem) problems.push(`${name} max limit to request ratio per ${item.type} is ${ratio}, but ${problem}`);
  }
  return problems;
}

function ratioProblem(request: string | undefined, limit: string | undefined, ratio: string): string | undefined {
  if (nano(request) === 0n) return 'no request is specified or request is 0';
  if (nano(limit) === 0n) return 'no limit is specified or limit is 0';
  const given = Number(nano(limit)) / Number(nano(request));
  return given > Number(nano(ratio)) / 1e9 ? `provided ratio is ${given.toFixed(6)}` : undefined;
}
