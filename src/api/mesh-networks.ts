// SPDX-License-Identifier: Apache-2.0
// The `meshNetworks` of the ConfigMap `istio`: which endpoints are on which network, and by which gateways a network is
// reached from the others (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshNetworks).
import { isIP } from 'node:net';
import { LineCounter, type Node, parseDocument } from 'yaml';
import type { KubeObject } from '../kube/types.ts';
import { blocksOverlap, type CidrBlock, parseCidr } from './cidr.ts';
import type { Diagnostic, DiagnosticCode } from './diagnostics.ts';
import { refOf } from './kind.ts';
import { diagnose, type Locate, Report } from './report.ts';
import {
  type At,
  checked,
  defaulted,
  type Infer,
  isRecord,
  list,
  mapOf,
  member,
  optional,
  required,
  type Shape,
  struct,
  text,
  turned,
} from './shape.ts';
import { portNumber } from './values.ts';
import { lineAt } from './yaml-documents.ts';

export const NETWORKS_FIELD = 'data.meshNetworks';
/** The network that only proxies reach which ask for it: the egress gateway (docs/decisions/0019). */
export const EXTERNAL_NETWORK = 'external';

/** The form of a label's value, for a pod's label may name its network. */
export const NETWORK_NAME = {
  pattern: /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  what: 'a name of at most 63 letters, digits, dashes, dots and underscores',
};
const networkName = text(NETWORK_NAME);

/** A kubeconfig secret's key, by which the mesh knows the cluster; or a block of addresses. */
export type NetworkMember =
  | { readonly kind: 'registry'; readonly name: string }
  | { readonly kind: 'cidr'; readonly block: CidrBlock };

/** Istio's API is read in both of protobuf's spellings, and its own charts used this one. */
const OTHER_SPELLINGS: Readonly<Record<string, string>> = {
  from_registry: 'fromRegistry',
  from_cidr: 'fromCidr',
  registry_service_name: 'registryServiceName',
};

function inEitherSpelling<T>(shape: Shape<T>): Shape<T> {
  return {
    schema: shape.schema,
    decode(raw, at) {
      if (!isRecord(raw)) return shape.decode(raw, at);
      const named = Object.entries(raw).map(([key, value]) => {
        const other = Object.hasOwn(OTHER_SPELLINGS, key) ? OTHER_SPELLINGS[key]! : key;
        return [other in raw ? key : other, value] as const;
      });
      return shape.decode(Object.fromEntries(named), at);
    },
  };
}

const endpoint = turned(
  inEitherSpelling(struct({ fromRegistry: optional(text()), fromCidr: optional(text()) })),
  (raw, at): NetworkMember | undefined => {
    const { fromRegistry, fromCidr } = raw;
    if (!isOneOf(raw, ['fromRegistry', 'fromCidr'], at)) return undefined;
    if (fromRegistry !== undefined) return { kind: 'registry', name: fromRegistry };
    const block = parseCidr(fromCidr!);
    if (block !== undefined) return { kind: 'cidr', block };
    const cure = 'write ADDRESS/BITS, as in 10.1.0.0/16';
    at.report.add('ISM0006', `${at.field}.fromCidr`, `${JSON.stringify(fromCidr)} is no block of addresses`, cure);
    return undefined;
  },
);

export type NetworkGateway = { readonly port: number; readonly locality: string } & (
  | { readonly kind: 'address'; readonly address: string }
  /** A Kubernetes Service in the network's own registries: the addresses of its load balancer. */
  | { readonly kind: 'service'; readonly name: string; readonly namespace: string }
);

const gateway = turned(
  inEitherSpelling(
    struct({
      address: optional(text()),
      registryServiceName: optional(text()),
      port: required(portNumber),
      locality: optional(text()),
    }),
  ),
  (raw, at): NetworkGateway | undefined => {
    if (!isOneOf(raw, ['address', 'registryServiceName'], at)) return undefined;
    const { address, registryServiceName, port, locality = '' } = raw;
    if (address !== undefined) return isAddress(address, at) ? { kind: 'address', address, port, locality } : undefined;
    const [, name, namespace] = /^([-a-z0-9]+)\.([-a-z0-9]+)(\.svc(\..+)?)?$/.exec(registryServiceName!) ?? [];
    if (name !== undefined && namespace !== undefined) return { kind: 'service', name, namespace, port, locality };
    const cure = 'write NAME.NAMESPACE.svc.cluster.local';
    const message = `${JSON.stringify(registryServiceName)} is not the name of a Service`;
    at.report.add('ISM0006', `${at.field}.registryServiceName`, message, cure);
    return undefined;
  },
);

function isOneOf<K extends string>(raw: Readonly<Record<K, unknown>>, names: readonly [K, K], at: At): boolean {
  const given = names.filter((name) => raw[name] !== undefined && raw[name] !== '');
  if (given.length === 1) return true;
  if (given.length === 0)
    at.report.add('ISM0001', at.field, `it has no ${names.join(' and no ')}`, 'give it one of them');
  else at.report.add('ISM0007', at.field, `${names.join(' and ')} exclude one another`, 'make two entries of them');
  return false;
}

function isAddress(address: string, at: At): boolean {
  const field = `${at.field}.address`;
  if (isPlaceholder(address)) {
    const cure = 'put the address of the network’s gateway here';
    at.report.add('ISM0112', field, `${address} is no address yet, so nothing goes by this gateway`, cure);
    return true;
  }
  if (isIP(address) !== 0) return true;
  if (/[a-z_-]/i.test(address) && /^[a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?\.?$/i.test(address)) return true;
  at.report.add('ISM0006', field, `${JSON.stringify(address)} is no address`, 'write an IP address or a DNS name');
  return false;
}

/** What installations write before the gateway's address is known. */
export function isPlaceholder(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

const network = struct({ endpoints: defaulted(list(endpoint), []), gateways: defaulted(list(gateway), []) });
const networks = checked(mapOf(network, networkName), (value, at) => {
  if (Object.hasOwn(value, EXTERNAL_NETWORK)) {
    const message = `the network \`${EXTERNAL_NETWORK}\` is what only egress gateways reach`;
    at.report.add('ISM0006', member(at.field, EXTERNAL_NETWORK), message, 'choose another name');
  }
  checkMembers(value, at);
});
export const meshNetworks = struct({ networks: defaulted(networks, {}) });
/** Networks by name. */
export type MeshNetworks = Infer<typeof networks>;

/** Nobody is on two networks. */
function checkMembers(value: MeshNetworks, at: At): void {
  const seen: { network: string; entry: NetworkMember }[] = [];
  for (const [name, { endpoints }] of Object.entries(value)) {
    endpoints.forEach((entry, i) => {
      const rival = seen.find((other) => other.network !== name && meet(other.entry, entry));
      seen.push({ network: name, entry });
      if (rival === undefined) return;
      const field = `${member(at.field, name)}.endpoints[${i}]`;
      at.report.add('ISM0009', field, `these endpoints are on ${rival.network} already`, 'leave them to one network');
    });
  }
}

function meet(a: NetworkMember, b: NetworkMember): boolean {
  if (a.kind === 'registry') return b.kind === 'registry' && a.name === b.name;
  return b.kind === 'cidr' && blocksOverlap(a.block, b.block);
}

/** What is to be said of a field below `data.meshNetworks`, with its line. */
export type SayOfNetworks = (code: DiagnosticCode, field: string, message: string, cure: string) => Diagnostic;

export interface DecodedNetworks {
  /** Absent when it cannot be used. */
  readonly value?: MeshNetworks;
  readonly diagnostics: readonly Diagnostic[];
  readonly say: SayOfNetworks;
}

/** Where the ConfigMap comes from no file, messages name the line of the YAML inside, which `kubectl edit` shows. */
export function decodeMeshNetworks(
  raw: KubeObject,
  options: { cluster?: string; locate?: Locate | undefined } = {},
): DecodedNetworks {
  const ref = refOf(raw, options.cluster);
  const data = raw['data'];
  const source = isRecord(data) ? data['meshNetworks'] : undefined;
  const lines = new LineCounter();
  const document = typeof source === 'string' ? parseDocument(source, { lineCounter: lines }) : undefined;
  const within = (diagnostic: Diagnostic, line: number): Diagnostic =>
    diagnostic.line === undefined
      ? { ...diagnostic, message: `line ${line} of meshNetworks: ${diagnostic.message}` }
      : diagnostic;
  const lineOf = (field: string) =>
    lineAt((document?.contents ?? null) as Node | null, field.slice(NETWORKS_FIELD.length), lines);
  const say: SayOfNetworks = (code, field, message, cure) =>
    within(diagnose(ref, code, field, message, cure, { locate: options.locate }), lineOf(field));
  if (document === undefined) return { value: {}, diagnostics: [], say };
  const fault = document.errors[0];
  if (fault !== undefined) {
    const message = fault.message.split('\n')[0]!.replace(/ at line \d+, column \d+:$/, '');
    const broken = diagnose(ref, 'ISM0002', NETWORKS_FIELD, message, 'write it as YAML', { locate: options.locate });
    return { diagnostics: [within(broken, lines.linePos(fault.pos[0]).line)], say };
  }
  const report = new Report(ref, options.locate);
  const value = meshNetworks.decode(document.toJS({ maxAliasCount: 100 }) ?? {}, { field: NETWORKS_FIELD, report });
  const diagnostics = report.diagnostics.map((d) => within(d, lineOf(d.field)));
  return value === undefined || report.errors > 0 ? { diagnostics, say } : { value: value.networks, diagnostics, say };
}
