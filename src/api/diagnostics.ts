// SPDX-License-Identifier: Apache-2.0
// Everything that Isthmus can say about a user's objects, each under a code that never changes its meaning.

/** The least serious first. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Enough to find an object with kubectl; `cluster` where several are watched. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly cluster?: string;
}

/** One object may be written and watched under different versions of its API, and read again and again. */
export function isSameObject(a: ObjectRef, b: ObjectRef): boolean {
  return a.kind === b.kind && a.namespace === b.namespace && a.name === b.name;
}

/** `VirtualService shop/web`, as messages name it. */
export function refName({ kind, namespace, name }: Pick<ObjectRef, 'kind' | 'namespace' | 'name'>): string {
  return `${kind} ${namespace}/${name}`;
}

export interface Diagnostic {
  readonly code: DiagnosticCode;
  readonly severity: Severity;
  readonly object: ObjectRef;
  /** Path inside the object: `spec.http[0].route[1].weight`. */
  readonly field: string;
  /** What is wrong, as a sentence without the object's name. */
  readonly message: string;
  /** What to do about it. */
  readonly cure: string;
  /** 1-based line in the file that the object came from. */
  readonly line?: number;
}

/** A row of the catalogue. `istio`: the code under which Istio's analyzers say the same; it is the one that is shown. */
interface DiagnosticKind {
  readonly severity: Severity;
  readonly title: string;
  readonly istio?: `IST${string}`;
}

/**
 * ISM00xx: one object's own text. ISM01xx: objects that do not fit together. ISM02xx: proxies. ISM03xx: the installation
 * and what spans clusters. ISM04xx: what `isthmus analyze` alone looks for, in workloads and namespaces too.
 */
export const DIAGNOSTICS = {
  ISM0001: { severity: 'error', title: 'required field missing', istio: 'IST0106' },
  ISM0002: { severity: 'error', title: 'value of the wrong type', istio: 'IST0106' },
  ISM0003: { severity: 'error', title: 'unknown field', istio: 'IST0106' },
  ISM0004: { severity: 'error', title: 'field not supported' },
  ISM0005: { severity: 'warning', title: 'field without effect', istio: 'IST0133' },
  ISM0006: { severity: 'error', title: 'value out of range or malformed', istio: 'IST0106' },
  ISM0007: { severity: 'error', title: 'fields that exclude one another', istio: 'IST0106' },
  ISM0008: { severity: 'error', title: 'weights that cannot be obeyed', istio: 'IST0106' },
  ISM0009: { severity: 'error', title: 'duplicate entry', istio: 'IST0106' },
  ISM0010: { severity: 'error', title: 'API version not served', istio: 'IST0106' },
  ISM0011: { severity: 'warning', title: 'rule that no request can reach', istio: 'IST0130' },
  ISM0012: { severity: 'error', title: 'no Kubernetes object' },
  ISM0013: { severity: 'warning', title: 'port that gateways have already' },
  ISM0014: { severity: 'warning', title: 'external endpoints out of reach' },
  ISM0015: { severity: 'info', title: 'match that no request can reach', istio: 'IST0131' },
  ISM0016: { severity: 'error', title: 'REPLACE where nothing is replaced', istio: 'IST0152' },
  ISM0017: { severity: 'error', title: 'ADD where nothing is added', istio: 'IST0153' },
  ISM0018: { severity: 'error', title: 'REMOVE where nothing is removed', istio: 'IST0154' },
  ISM0101: { severity: 'error', title: 'host not found', istio: 'IST0101' },
  ISM0102: { severity: 'error', title: 'subset not found', istio: 'IST0101' },
  ISM0103: { severity: 'error', title: 'port not found', istio: 'IST0101' },
  ISM0104: { severity: 'warning', title: 'host claimed twice' },
  ISM0105: { severity: 'warning', title: 'virtual address claimed twice' },
  ISM0106: { severity: 'error', title: 'gateway not found', istio: 'IST0101' },
  ISM0108: { severity: 'warning', title: 'host not served by the gateway', istio: 'IST0132' },
  ISM0109: { severity: 'warning', title: 'port that proxies cannot serve' },
  ISM0110: { severity: 'warning', title: 'name without an address' },
  ISM0111: { severity: 'warning', title: 'network without a gateway' },
  ISM0112: { severity: 'warning', title: 'gateway that leads nowhere yet' },
  ISM0113: { severity: 'warning', title: 'no sidecar behind a gateway' },
  ISM0114: { severity: 'error', title: 'cluster of a network not found', istio: 'IST0126' },
  ISM0115: { severity: 'warning', title: 'routes that are not taken over' },
  ISM0117: { severity: 'warning', title: 'provider not found' },
  ISM0118: { severity: 'warning', title: 'object that an older one stands before' },
  ISM0119: { severity: 'warning', title: 'rule for a host that is not there', istio: 'IST0174' },
  ISM0120: { severity: 'warning', title: 'routes that no connection comes to' },
  ISM0121: { severity: 'error', title: 'host routed by two VirtualServices', istio: 'IST0109' },
  ISM0122: { severity: 'error', title: 'two Sidecars for a namespace', istio: 'IST0111' },
  ISM0123: { severity: 'error', title: 'two Sidecars for the same pods', istio: 'IST0110' },
  ISM0124: { severity: 'warning', title: 'policy that an older rule has' },
  ISM0125: { severity: 'error', title: 'gateways that claim the same', istio: 'IST0145' },
  ISM0126: { severity: 'warning', title: 'gateway port that no Service opens', istio: 'IST0162' },
  ISM0127: { severity: 'error', title: 'selector that finds no gateway', istio: 'IST0101' },
  ISM0128: { severity: 'warning', title: 'host without addresses for TCP', istio: 'IST0134' },
  ISM0129: { severity: 'error', title: 'two Telemetry for a namespace', istio: 'IST0160' },
  ISM0201: { severity: 'error', title: 'refused by Envoy' },
  ISM0202: { severity: 'error', title: 'Secret that proxies cannot be served', istio: 'IST0161' },
  ISM0203: { severity: 'warning', title: 'patch that changes nothing' },
  ISM0301: { severity: 'error', title: 'mesh not installed' },
  ISM0302: { severity: 'error', title: 'control plane not ready' },
  ISM0303: { severity: 'warning', title: 'certificate of the CA ends soon' },
  ISM0304: { severity: 'error', title: 'CA that cannot be used' },
  ISM0305: { severity: 'warning', title: 'clocks that differ' },
  ISM0306: { severity: 'warning', title: 'proxies that refuse the control plane' },
  ISM0307: { severity: 'warning', title: 'control plane short of file descriptors' },
  ISM0308: { severity: 'warning', title: 'CA replaced, the one before in use' },
  ISM0309: { severity: 'error', title: 'remote secret that cannot be used' },
  ISM0310: { severity: 'error', title: 'cluster out of reach' },
  ISM0311: { severity: 'error', title: 'two clusters with one name' },
  ISM0312: { severity: 'error', title: 'clusters with different roots' },
  ISM0313: { severity: 'warning', title: 'names of other clusters that nobody resolves' },
  ISM0314: { severity: 'error', title: 'cluster that nobody watches' },
  ISM0315: { severity: 'warning', title: 'gateway name that does not resolve' },
  ISM0316: { severity: 'warning', title: 'CA that is publicly known' },
  ISM0317: { severity: 'warning', title: 'gateway of a network that nobody is behind' },
  ISM0318: { severity: 'warning', title: 'service that clusters have differently', istio: 'IST0170' },
  ISM0319: { severity: 'warning', title: 'export that is not done as asked' },
  ISM0320: { severity: 'error', title: 'name that its cluster does not export' },
  ISM0321: { severity: 'warning', title: 'pod on another network than its cluster' },
  ISM0322: { severity: 'warning', title: 'copy of a rule that drifted' },
  ISM0401: { severity: 'info', title: 'namespace without injection', istio: 'IST0102' },
  ISM0402: { severity: 'warning', title: 'pod without a sidecar', istio: 'IST0103' },
  ISM0403: { severity: 'warning', title: 'two labels for injection', istio: 'IST0123' },
  ISM0404: { severity: 'warning', title: 'proxy of another version', istio: 'IST0158' },
  ISM0405: { severity: 'warning', title: 'annotation on the wrong kind', istio: 'IST0107' },
  ISM0406: { severity: 'warning', title: 'unknown annotation', istio: 'IST0108' },
  ISM0407: { severity: 'warning', title: 'annotation that cannot be used', istio: 'IST0125' },
  ISM0408: { severity: 'warning', title: 'annotation without effect' },
  ISM0409: { severity: 'warning', title: 'port for two transports', istio: 'IST0116' },
  ISM0410: { severity: 'warning', title: 'target port of two ports', istio: 'IST0137' },
  ISM0411: { severity: 'info', title: 'port that says no protocol', istio: 'IST0118' },
  ISM0412: { severity: 'warning', title: 'ExternalName port that says no protocol', istio: 'IST0150' },
  ISM0413: { severity: 'error', title: 'selector that no pod has', istio: 'IST0101' },
  ISM0414: { severity: 'warning', title: 'rule that selects no pod', istio: 'IST0127' },
  ISM0415: { severity: 'error', title: 'two Telemetry for the same pods', istio: 'IST0159' },
  ISM0416: { severity: 'error', title: 'port that has to be said', istio: 'IST0112' },
  ISM0417: { severity: 'warning', title: 'server that nobody verifies', istio: 'IST0128' },
  ISM0418: { severity: 'warning', title: 'server of a port that nobody verifies', istio: 'IST0129' },
  ISM0419: { severity: 'error', title: 'subset that selects no pod', istio: 'IST0173' },
  ISM0420: { severity: 'warning', title: 'patch that depends on an order', istio: 'IST0151' },
  ISM0421: { severity: 'warning', title: 'patch that depends on an order and a version', istio: 'IST0155' },
  ISM0422: { severity: 'warning', title: 'certificate of several gateways', istio: 'IST0138' },
  ISM0423: { severity: 'warning', title: 'port of a host with two protocols', istio: 'IST0177' },
  ISM0424: { severity: 'warning', title: 'Telemetry without providers', istio: 'IST0157' },
  ISM0425: { severity: 'error', title: 'webhook without a Service', istio: 'IST0139' },
  ISM0426: { severity: 'warning', title: 'application that runs as the proxy', istio: 'IST0144' },
  ISM0427: { severity: 'warning', title: 'subsets that do not count at a gateway', istio: 'IST0140' },
} as const satisfies Record<string, DiagnosticKind>;

export type DiagnosticCode = keyof typeof DIAGNOSTICS;

/** What Istio calls what is wrong with an object by itself, and what is only to be said of it. */
const [SCHEMA_ERROR, SCHEMA_WARNING] = ['IST0106', 'IST0133'] as const;

/** Istio's code where it has one that means the same, else ours. */
export function shownCode({ code, severity }: Pick<Diagnostic, 'code' | 'severity'>): string {
  const { istio }: DiagnosticKind = DIAGNOSTICS[code];
  if (istio === SCHEMA_ERROR && severity !== 'error') return SCHEMA_WARNING;
  if (istio === SCHEMA_WARNING && severity === 'error') return SCHEMA_ERROR;
  return istio ?? code;
}

/** `IST0106, ISM0008`: as shown, and our own, which says it more closely. */
export function bothCodes(found: Pick<Diagnostic, 'code' | 'severity'>): string {
  const shown = shownCode(found);
  return shown === found.code ? shown : `${shown}, ${found.code}`;
}

/** As /debug tells it. */
export function asShown(found: Diagnostic): Record<string, unknown> {
  return { ...found, ...codesOf(found) };
}

/** How a diagnostic is written for programs: `code` is what is shown, `detail` our own where that is another. */
export function codesOf(found: Pick<Diagnostic, 'code' | 'severity'>): { code: string; detail?: DiagnosticCode } {
  const code = shownCode(found);
  return code === found.code ? { code } : { code, detail: found.code };
}

/** The object is left out, and the webhook refuses it: what else is wrong lies between it and others. */
export function isRefused({ code, severity }: Pick<Diagnostic, 'code' | 'severity'>): boolean {
  return severity === 'error' && code.startsWith('ISM00');
}

/** Known only to the replica of the control plane that the proxies in question are connected to. */
export function isOfProxies({ code }: Pick<Diagnostic, 'code'>): boolean {
  return code === 'ISM0201' || code === 'ISM0202';
}

/** At least as serious as `threshold`. */
export function isAtLeast(severity: Severity, threshold: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(threshold);
}

/** Order in which diagnostics are shown: by object, then field, then code; what comes out equal says the same. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  const [left, right] = [orderOf(a), orderOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** As text that is in the order of `compareDiagnostics`. */
export function orderOf({ object, field, code, message }: Diagnostic): string {
  return [object.cluster ?? '', object.kind, object.namespace, object.name, field, code, message].join('\0');
}
