// SPDX-License-Identifier: Apache-2.0
// Is there, behind a `.global` name, what it promises? Only whoever looks at both clusters can tell: the client's has the
// ServiceEntry, the other one the service, and its gateway refuses what it does not know without a word.
import { DESTINATION_RULE, type DestinationRule } from '../../api/destination-rule.ts';
import { EXPORTED_SERVICE } from '../../api/exported-service.ts';
import { decodeObject, type Kind, type MeshObject } from '../../api/kind.ts';
import { decodeService, type KubeService } from '../../api/kubernetes.ts';
import { decodeMeshConfig } from '../../api/mesh-config.ts';
import { diagnose, type Locate } from '../../api/report.ts';
import { SERVICE_ENTRY, type ServiceEntry } from '../../api/service-entry.ts';
import { qualifyHost } from '../../model/hosts.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { CollectedObject } from './collect.ts';
import type { Remark } from './judge.ts';
import { settingsAmong } from './registries.ts';

/** A cluster of those that are looked at together. */
export interface LookedAt {
  readonly context: string;
  readonly objects: readonly CollectedObject[];
  /** Of whose objects, and of those of files, is told; undefined for all. */
  readonly namespace: string | undefined;
}

const DNS_DOMAIN = 'cluster.local';
const CROSS_CLUSTER_PORT = 15443;

interface Placed<T> {
  readonly value: T;
  readonly locate: Locate | undefined;
  readonly file: string | undefined;
}

/** What is said of the client's objects, by the clusters whose gateways their endpoints are. */
export function judgeGlobalHosts(clusters: readonly LookedAt[]): Remark[] {
  const remotes = clusters.map(readRemote);
  return clusters.flatMap(({ context, objects, namespace }) => {
    const rules = decodeAll(DESTINATION_RULE, objects, context);
    const others = remotes.filter((remote) => remote.context !== context);
    return decodeAll(SERVICE_ENTRY, objects, context)
      .filter(({ value: { spec } }) => spec.location === 'MESH_INTERNAL')
      .flatMap((entry) => others.flatMap((remote) => judgeEntry(entry, rules, remote)))
      .filter(({ object, file }) => namespace === undefined || file !== undefined || object.namespace === namespace);
  });
}

interface Remote {
  readonly context: string;
  /** Where its gateways take the mesh's TLS from elsewhere. */
  readonly gateways: ReadonlySet<string>;
  readonly services: ReadonlyMap<string, KubeService>;
  readonly rules: readonly DestinationRule[];
  /** `NAMESPACE/NAME` -> names of the subsets that it tells others of. */
  readonly exported: ReadonlyMap<string, readonly string[]>;
  /** Its gateways let in what it exports, and nothing else. */
  readonly onlyExported: boolean;
}

function readRemote({ context, objects }: LookedAt): Remote {
  const services = objects.filter(({ object: { kind, apiVersion } }) => kind === 'Service' && apiVersion === 'v1');
  const gateways = services.flatMap(({ object }) => {
    const status = (object['status'] ?? {}) as { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } };
    const isGateway =
      object.metadata.namespace === ISTIO_NAMESPACE &&
      decodeService(object, context).ports.some(({ number }) => number === CROSS_CLUSTER_PORT);
    return isGateway ? (status.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => [ip, hostname]) : [];
  });
  const decoded = services.map(({ object }) => decodeService(object, context));
  return {
    context,
    gateways: new Set(gateways.filter((address) => address !== undefined)),
    services: new Map(decoded.map((service) => [`${service.ref.namespace}/${service.ref.name}`, service])),
    rules: decodeAll(DESTINATION_RULE, objects, context).map(({ value }) => value),
    exported: new Map(
      decodeAll(EXPORTED_SERVICE, objects, context).map(({ value: { ref, spec } }) => [
        `${ref.namespace}/${ref.name}`,
        spec.subsets.map(({ name }) => name),
      ]),
    ),
    onlyExported: settingsAmong(objects).some(
      ({ object }) => decodeMeshConfig(object).value?.gatewayServices === 'EXPORTED',
    ),
  };
}

function judgeEntry(entry: Placed<ServiceEntry>, rules: readonly Placed<DestinationRule>[], remote: Remote): Remark[] {
  const { spec } = entry.value;
  const leading = spec.endpoints.filter(({ address }) => remote.gateways.has(address));
  if (leading.length === 0) return [];
  return spec.hosts.flatMap((host, i) => {
    const [name, namespace, zone, ...more] = host.split('.');
    if (zone !== 'global' || more.length > 0) return [];
    const service = remote.services.get(`${namespace}/${name}`);
    if (service === undefined) {
      const message = `${leading[0]!.address} is the gateway of ${remote.context}, which has no Service ${name} in namespace ${namespace}`;
      return [
        remark(entry, 'ISM0101', `spec.hosts[${i}]`, message, 'write NAME.NAMESPACE.global of a Service over there'),
      ];
    }
    if (remote.onlyExported && !remote.exported.has(`${namespace}/${name}`)) {
      const message = `${remote.context} does not export Service ${namespace}/${name}, and its gateway lets in what it exports only`;
      const cure = `export it there: kubectl -n ${namespace} annotate service ${name} isthmus.io/export=true`;
      return [remark(entry, 'ISM0320', `spec.hosts[${i}]`, message, cure)];
    }
    return [
      ...judgePorts(entry, service, remote),
      ...rules
        .filter(({ value }) => qualifyHost(value.spec.host, value.ref.namespace, DNS_DOMAIN) === host)
        .flatMap((rule) => judgeSubsets(rule, leading, service, remote)),
    ];
  });
}

function judgePorts(entry: Placed<ServiceEntry>, { ref, ports }: KubeService, { context }: Remote): Remark[] {
  const known = ports.map(({ number }) => number);
  return entry.value.spec.ports.flatMap(({ number }, i) => {
    if (known.includes(number)) return [];
    const message = `Service ${ref.namespace}/${ref.name} of ${context} has no port ${number}: its gateway refuses what goes there`;
    return [remark(entry, 'ISM0103', `spec.ports[${i}].number`, message, `its ports are ${known.join(', ')}`)];
  });
}

/** The subset's name travels in the SNI, and the gateway looks for it in the rules of its own cluster. */
function judgeSubsets(
  rule: Placed<DestinationRule>,
  leading: ServiceEntry['spec']['endpoints'],
  { ref }: KubeService,
  { context, rules, exported }: Remote,
): Remark[] {
  const local = `${ref.name}.${ref.namespace}.svc.${DNS_DOMAIN}`;
  const known = rules
    .filter(({ spec, ref: { namespace } }) => qualifyHost(spec.host, namespace, DNS_DOMAIN) === local)
    .flatMap(({ spec }) => spec.subsets.map(({ name }) => name))
    .concat(exported.get(`${ref.namespace}/${ref.name}`) ?? []);
  return rule.value.spec.subsets.flatMap(({ name, labels }, i) => {
    const selects = leading.some((e) => Object.entries(labels).every(([key, value]) => e.labels[key] === value));
    if (!selects || known.includes(name)) return [];
    const message = `no DestinationRule of ${context} for ${local} has the subset ${name}: its gateway refuses what goes there`;
    const cure = 'add the subset there, with the labels of its pods, or without labels for all of them';
    return [remark(rule, 'ISM0102', `spec.subsets[${i}]`, message, cure)];
  });
}

/** Objects that are refused are told of elsewhere. */
function decodeAll<Spec>(
  kind: Kind<Spec>,
  objects: readonly CollectedObject[],
  cluster: string,
): Placed<MeshObject<Spec>>[] {
  const group = `${kind.group}/`;
  return objects.flatMap(({ object, locate, file }) => {
    if (object.kind !== kind.kind || !object.apiVersion.startsWith(group)) return [];
    const { value } = decodeObject(kind, object, { cluster });
    return value === undefined ? [] : [{ value, locate, file }];
  });
}

function remark(
  { value, locate, file }: Placed<MeshObject<unknown>>,
  code: 'ISM0101' | 'ISM0102' | 'ISM0103' | 'ISM0320',
  field: string,
  message: string,
  cure: string,
): Remark {
  const found = diagnose(value.ref, code, field, message, cure, { locate });
  return file === undefined ? found : { ...found, file };
}
