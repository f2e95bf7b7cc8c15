// SPDX-License-Identifier: Apache-2.0
// What the mesh itself says about a request: the access log line of the proxy that sent it.

/** One call as the caller's sidecar logged it. */
export interface LoggedCall {
  /** When it began; milliseconds since 1970. */
  readonly startedAt: number;
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

/** What the sidecar connected to, without its port. */
export function addressOf(call: LoggedCall): string {
  return call.upstreamHost.replace(/:\d+$/, '');
}

/** Places of the quoted members in Istio's default line. */
const QUOTED = { userAgent: 3, upstreamHost: 6 } as const;

/**
 * Reads Istio's default access log line, with the TLS versions and identities that ours adds at its end
 * (https://istio.io/latest/docs/tasks/observability/logs/access-log/). undefined for any other line.
 */
export function parseAccessLogLine(line: string): LoggedCall | undefined {
  const request = /^\[(?<at>[^\]]+)\] "\S+ (?<path>\S+) [^"]+" (?<status>\d{3}) /.exec(line)?.groups;
  const cluster = /\s(?<cluster>outbound\|\d+\|(?<subset>[^|]*)\|(?<host>\S+))\s/.exec(line)?.groups;
  if (!request || !cluster) return undefined;
  const quoted = [...line.matchAll(/"([^"]*)"/g)].map((m) => m[1]!);
  return {
    startedAt: Date.parse(request['at']!),
    path: request['path']!,
    status: Number(request['status']),
    userAgent: quoted[QUOTED.userAgent] ?? '',
    upstreamHost: quoted[QUOTED.upstreamHost] ?? '',
    upstreamCluster: cluster['cluster']!,
    subset: cluster['subset']!,
    host: cluster['host']!,
    tlsVersion: /\bTLSv1\.\d\b/.exec(line)?.[0] ?? '',
  };
}
