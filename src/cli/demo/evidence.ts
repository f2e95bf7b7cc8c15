// SPDX-License-Identifier: Apache-2.0
// What the mesh itself says about a request: the access log line of the proxy that sent it.

/** One call as the caller's sidecar logged it. */
export interface LoggedCall {
  readonly userAgent: string;
  readonly path: string;
  readonly status: number;
  /** `outbound|9080|v2|reviews.default.global` */
  readonly upstreamCluster: string;
  readonly subset: string;
  readonly host: string;
  /** Address and port that the sidecar connected to: a pod's, or another cluster's gateway's. */
  readonly upstreamHost: string;
  /** e.g. `TLSv1.3`; '' when the line says none. */
  readonly tlsVersion: string;
}

/**
 * Reads Istio's default access log line (envoyproxy.io, "Default format", with the fields that Istio adds): quoted
 * fields are request line, response code details, forwarded-for, user agent, request id, authority, upstream host.
 * undefined for any other line.
 */
export function parseAccessLogLine(line: string): LoggedCall | undefined {
  const match = /^\[[^\]]+\] "(?<method>\S+) (?<path>\S+) [^"]+" (?<status>\d{3}) /.exec(line);
  if (!match?.groups) return undefined;
  const cluster = /\s(?<cluster>outbound\|(?<port>\d+)\|(?<subset>[^|]*)\|(?<host>\S+))\s/.exec(line)?.groups;
  const quoted = [...line.matchAll(/"([^"]*)"/g)].map((m) => m[1]!);
  if (!cluster) return undefined;
  const authority = quoted.findIndex(
    (text, i) => i > 0 && i + 1 < quoted.length && /^[\d.]+:\d+$/.test(quoted[i + 1]!) && text !== '',
  );
  return {
    path: match.groups['path']!,
    status: Number(match.groups['status']),
    userAgent: quoted[authority - 2] ?? '',
    upstreamHost: quoted[authority + 1] ?? '',
    upstreamCluster: cluster['cluster']!,
    subset: cluster['subset']!,
    host: cluster['host']!,
    tlsVersion: /\bTLSv1\.\d\b/.exec(line)?.[0] ?? '',
  };
}
