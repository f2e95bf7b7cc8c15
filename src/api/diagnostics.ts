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

/** ISM00xx: one object's own text. ISM01xx: objects that do not fit together. ISM02xx: proxies. ISM03xx: the installation. */
export const DIAGNOSTICS = {
  ISM0001: { severity: 'error', title: 'required field missing' },
  ISM0002: { severity: 'error', title: 'value of the wrong type' },
  ISM0003: { severity: 'error', title: 'unknown field' },
  ISM0004: { severity: 'error', title: 'field not supported' },
  ISM0005: { severity: 'warning', title: 'field without effect' },
  ISM0006: { severity: 'error', title: 'value out of range or malformed' },
  ISM0007: { severity: 'error', title: 'fields that exclude one another' },
  ISM0008: { severity: 'error', title: 'weights that cannot be obeyed' },
  ISM0009: { severity: 'error', title: 'duplicate entry' },
  ISM0010: { severity: 'error', title: 'API version not served' },
  ISM0011: { severity: 'warning', title: 'rule that no request can reach' },
  ISM0012: { severity: 'error', title: 'no Kubernetes object' },
  ISM0013: { severity: 'warning', title: 'port that gateways have already' },
  ISM0014: { severity: 'warning', title: 'external endpoints out of reach' },
  ISM0101: { severity: 'warning', title: 'host not found' },
  ISM0102: { severity: 'warning', title: 'subset not found' },
  ISM0103: { severity: 'warning', title: 'port not found' },
  ISM0104: { severity: 'warning', title: 'host claimed twice' },
  ISM0105: { severity: 'warning', title: 'virtual address claimed twice' },
  ISM0106: { severity: 'warning', title: 'gateway not found' },
  ISM0108: { severity: 'warning', title: 'host not served by the gateway' },
  ISM0109: { severity: 'warning', title: 'port that proxies cannot serve' },
  ISM0110: { severity: 'warning', title: 'name without an address' },
  ISM0111: { severity: 'warning', title: 'network without a gateway' },
  ISM0112: { severity: 'warning', title: 'gateway that leads nowhere yet' },
  ISM0113: { severity: 'warning', title: 'no sidecar behind a gateway' },
  ISM0114: { severity: 'warning', title: 'cluster of a network not found' },
  ISM0115: { severity: 'warning', title: 'routes that are not taken over' },
  ISM0117: { severity: 'warning', title: 'provider not found' },
  ISM0118: { severity: 'warning', title: 'object that an older one stands before' },
  ISM0201: { severity: 'error', title: 'refused by Envoy' },
  ISM0202: { severity: 'error', title: 'Secret that proxies cannot be served' },
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
} as const satisfies Record<string, { severity: Severity; title: string }>;

export type DiagnosticCode = keyof typeof DIAGNOSTICS;

/** Known only to the replica of the control plane that the proxies in question are connected to. */
export function isOfProxies({ code }: Pick<Diagnostic, 'code'>): boolean {
  return code === 'ISM0201' || code === 'ISM0202';
}

/** At least as serious as `threshold`. */
export function isAtLeast(severity: Severity, threshold: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(threshold);
}

/** Order in which diagnostics are shown: by object, then field, then code. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  const key = (d: Diagnostic) => [
    d.object.cluster ?? '',
    d.object.kind,
    d.object.namespace,
    d.object.name,
    d.field,
    d.code,
  ];
  const left = key(a).join('\0');
  const right = key(b).join('\0');
  return left < right ? -1 : left > right ? 1 : 0;
}
