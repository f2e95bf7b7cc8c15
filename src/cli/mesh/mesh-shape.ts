// SPDX-License-Identifier: Apache-2.0
// What a mesh.yaml may say (kind Mesh of isthmus.io/v1alpha1: a file for the commands, no object of any cluster), and what
// of it does not fit together.
import { closestName } from '../../api/closest-name.ts';
import { EXPORT_POLICY } from '../../api/export-policy.ts';
import { NETWORK_NAME } from '../../api/mesh-networks.ts';
import {
  type At,
  checked,
  choice,
  defaulted,
  type Infer,
  integer,
  isRecord,
  list,
  optional,
  required,
  type Shape,
  struct,
  text,
  turned,
} from '../../api/shape.ts';
import { portNumber } from '../../api/values.ts';

/** It becomes part of the names of Secrets, and the value of labels. */
const NAME = {
  pattern: /^[a-z0-9]([-a-z0-9.]{0,38}[a-z0-9])?$/,
  what: 'a name of at most 40 lower-case letters, digits, dashes and dots',
};
const name = text(NAME);
const ADDRESS = {
  pattern: /^([a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?|[0-9a-f:]+)$/i,
  what: 'an IP address or a DNS name',
};

/** Whose control plane the proxies of a cluster follow. */
export type PlaneOf = { readonly kind: 'own' } | { readonly kind: 'served'; readonly by: string };

const servedBy = struct({ servedBy: required(name) });
const controlPlane: Shape<PlaneOf> = {
  schema: {},
  decode(raw, at) {
    if (raw === 'own') return { kind: 'own' };
    if (isRecord(raw)) {
      const decoded = servedBy.decode(raw, at);
      return decoded === undefined ? undefined : { kind: 'served', by: decoded.servedBy };
    }
    const cure = 'write `own`, or `{servedBy: CLUSTER}` where another cluster’s control plane rules its proxies';
    at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no control plane`, cure);
    return undefined;
  },
};

const httpsUrl: Shape<string> = turned(text(), (raw, at) => {
  if (URL.canParse(raw) && new URL(raw).protocol === 'https:') return raw.replace(/\/+$/, '');
  const cure = 'write the address by which the other clusters’ pods reach this API server, as https://HOST:PORT';
  at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no https address`, cure);
  return undefined;
});

const values = checkedRecord();

const gateway = struct({
  type: optional(choice(['LoadBalancer', 'NodePort', 'ClusterIP'])),
  address: optional(text(ADDRESS)),
  port: optional(portNumber),
});

const cluster = struct({
  name: required(name),
  context: optional(text({ pattern: /./, what: 'the name of a kubeconfig context' })),
  network: optional(text(NETWORK_NAME)),
  controlPlane: defaulted(controlPlane, { kind: 'own' }),
  apiServer: optional(httpsUrl),
  gateway: defaulted(gateway, { type: undefined, address: undefined, port: undefined }),
  dns: defaulted(choice(['auto', 'kube-dns', 'coredns', 'none']), 'auto'),
  values: optional(values),
});

export const MADE_CA_DIR = 'mesh-ca';

const trust = checked(
  struct({
    ca: defaulted(choice(['made', 'files', 'secrets']), 'made'),
    directory: optional(text({ pattern: /./, what: 'a folder' })),
    organization: defaulted(
      text({
        pattern: /^[\p{L}\p{N} ._-]{1,64}$/u,
        what: 'a name of at most 64 letters, digits, blanks, dots and dashes',
      }),
      'Isthmus',
    ),
    days: defaulted(integer({ min: 1, max: 36_500 }), 3650),
  }),
  ({ ca, directory }, at) => {
    const field = `${at.field}.directory`;
    if (ca === 'files' && directory === undefined) {
      const cure = 'name the folder that has, for each cluster, a folder of its name with its four files';
      at.report.add('ISM0001', field, '`directory` is required where `ca` is `files`', cure);
    }
    if (ca === 'secrets' && directory !== undefined) {
      const message = 'where the Secrets cacerts are yours, no folder is read';
      at.report.add('ISM0007', field, message, 'leave it out, or let `ca` be `files`');
    }
  },
);

/** What of a policy is ours: the rest is an ExportPolicy's spec. */
const policyHead = struct({ name: required(name), clusters: optional(list(name, { min: 1 })) });

export interface ExportSpec {
  readonly name: string;
  /** Where it holds; undefined: in every cluster with a control plane of its own. */
  readonly clusters: readonly string[] | undefined;
  /** Of the ExportPolicy, as written. */
  readonly spec: Readonly<Record<string, unknown>>;
}

const exportPolicy: Shape<ExportSpec> = {
  schema: {},
  decode(raw, at) {
    const { name: given, clusters, ...spec } = isRecord(raw) ? raw : {};
    const head = policyHead.decode(isRecord(raw) ? { name: given, clusters } : raw, at);
    const before = at.report.errors;
    const decoded = EXPORT_POLICY.spec.decode(spec, at);
    if (head === undefined || decoded === undefined || at.report.errors > before) return undefined;
    const ref = { apiVersion: 'isthmus.io/v1alpha1', kind: EXPORT_POLICY.kind, namespace: '', name: head.name };
    EXPORT_POLICY.check?.(decoded, at, { ref, createdAtMs: 0 });
    return at.report.errors > before ? undefined : { ...head, spec };
  },
};

export const meshSpec = checked(
  struct({
    trustDomain: defaulted(
      text({ pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, what: 'a DNS name' }),
      'cluster.local',
    ),
    trust: defaulted(trust, { ca: 'made', directory: undefined, organization: 'Isthmus', days: 3650 }),
    values: optional(values),
    clusters: required(list(cluster, { min: 1 })),
    exports: defaulted(list(exportPolicy), []),
  }),
  checkTogether,
);
export type MeshSpec = Infer<typeof meshSpec>;
export type ClusterSpec = MeshSpec['clusters'][number];
export type TrustSpec = MeshSpec['trust'];

/** A cluster of which no more is known than its name and who serves it. */
export function clusterDefaults({ name, servedBy: by }: { name: string; servedBy?: string }): ClusterSpec {
  const gateway = { type: undefined, address: undefined, port: undefined };
  const plane: PlaneOf = by === undefined ? { kind: 'own' } : { kind: 'served', by };
  return {
    ...{ name, context: undefined, network: undefined, controlPlane: plane, apiServer: undefined, gateway },
    ...{ dns: 'auto', values: undefined },
  };
}

export function contextOf({ context, name }: Pick<ClusterSpec, 'context' | 'name'>): string {
  return context ?? name;
}

function checkTogether(
  { clusters, exports }: { clusters: readonly Infer<typeof cluster>[]; exports: readonly ExportSpec[] },
  at: At,
): void {
  const names = clusters.map((each) => each.name);
  clusters.forEach((each, i) => {
    const field = `${at.field}.clusters[${i}]`;
    const first = names.indexOf(each.name);
    if (first !== i) {
      const message = `two clusters are named ${each.name}: clusters[${first}] is, too`;
      at.report.add('ISM0009', `${field}.name`, message, 'a cluster has a name of its own in the mesh');
      return;
    }
    const rival = clusters.findIndex((other) => contextOf(other) === contextOf(each));
    if (rival !== i) {
      const message = `${clusters[rival]!.name} and ${each.name} are both behind context ${contextOf(each)}`;
      const place = each.context === undefined ? `${field}.name` : `${field}.context`;
      at.report.add('ISM0009', place, message, 'name the context of each (kubectl config get-contexts)');
    }
    if (each.controlPlane.kind === 'served') checkServer(each.name, each.controlPlane.by, clusters, field, at);
  });
  const policies = exports.map((each) => each.name);
  exports.forEach((each, i) => {
    const field = `${at.field}.exports[${i}]`;
    if (policies.indexOf(each.name) !== i) {
      at.report.add('ISM0009', `${field}.name`, `two policies are named ${each.name}`, 'give each a name of its own');
    }
    each.clusters?.forEach((wanted, j) => {
      if (!names.includes(wanted)) unknownCluster(wanted, names, `${field}.clusters[${j}]`, at);
    });
  });
}

function checkServer(own: string, by: string, clusters: readonly Infer<typeof cluster>[], field: string, at: At): void {
  const place = `${field}.controlPlane.servedBy`;
  const server = clusters.find((other) => other.name === by);
  if (by === own) {
    at.report.add('ISM0006', place, `${own} cannot serve itself`, 'write `controlPlane: own`, or name another cluster');
  } else if (server === undefined) {
    unknownCluster(
      by,
      clusters.map((each) => each.name).filter((each) => each !== own),
      place,
      at,
    );
  } else if (server.controlPlane.kind === 'served') {
    const message = `${by} has no control plane to serve ${own} with: it is itself served by ${server.controlPlane.by}`;
    at.report.add('ISM0006', place, message, `name ${server.controlPlane.by}, or let ${by} have its own`);
  }
}

function unknownCluster(wanted: string, names: readonly string[], field: string, at: At): void {
  const close = closestName(wanted, names);
  const cure = close === undefined ? `those of this file are ${names.join(', ')}` : `did you mean ${close}?`;
  at.report.add('ISM0006', field, `there is no cluster ${wanted} in spec.clusters`, cure);
}

/** Values are judged where they are read (install/values): here they are any group. */
function checkedRecord(): Shape<Readonly<Record<string, unknown>>> {
  return {
    schema: {},
    decode(raw, at) {
      if (isRecord(raw)) return raw;
      const cure = 'write them as a file of values has them: `global: {hub: ...}`';
      at.report.add('ISM0002', at.field, 'values are a group', cure);
      return undefined;
    },
  };
}
