// SPDX-License-Identifier: Apache-2.0
// The kubelet has no certificate of the mesh, so its HTTP probes could not pass the proxy. They are sent to the proxy's
// health port instead, which passes on these very paths, and nothing else, to the application.
import { HEALTH_PORT } from './bootstrap.ts';
import type { Container } from './pod.ts';

/** One path of the health listener that leads to the application. */
export interface AppProbe {
  /** As the kubelet asks for it now. */
  readonly path: string;
  /** As the application knows it. */
  readonly appPath: string;
  readonly appPort: number;
  readonly tls: boolean;
}

export interface MovedProbes {
  readonly containers: readonly Container[];
  readonly probes: readonly AppProbe[];
  readonly warnings: readonly string[];
}

interface Probe {
  httpGet?: { path?: string; port: number | string; scheme?: string; [member: string]: unknown };
  tcpSocket?: unknown;
  grpc?: unknown;
  [member: string]: unknown;
}

const KINDS = { livenessProbe: 'livez', readinessProbe: 'readyz', startupProbe: 'startupz' } as const;

/** @throws Error naming the container and the probe whose port has a name that the container does not declare */
export function moveProbes(containers: readonly Container[]): MovedProbes {
  const probes: AppProbe[] = [];
  const warnings: string[] = [];
  const moved = containers.map((container) => {
    const changes: Record<string, Probe> = {};
    for (const [member, suffix] of Object.entries(KINDS)) {
      const probe = container[member] as Probe | undefined;
      const where = `${member} of container ${container.name}`;
      if (probe?.grpc !== undefined) {
        warnings.push(`${where}: the proxy refuses gRPC probes, which have no certificate: use httpGet or exec`);
      }
      if (probe?.tcpSocket !== undefined) {
        warnings.push(
          `${where}: it says only that the proxy listens, not that the application does: use httpGet or exec`,
        );
      }
      if (probe?.httpGet === undefined) continue;
      const { httpGet } = probe;
      const path = `/app-health/${container.name}/${suffix}`;
      const [appPath = '/', query] = splitQuery(httpGet.path ?? '/');
      const appPort = portNumber(httpGet.port, container, where);
      probes.push({ path, appPath, appPort, tls: httpGet.scheme === 'HTTPS' });
      const { scheme: _scheme, ...rest } = httpGet;
      changes[member] = {
        ...probe,
        httpGet: { ...rest, path: query === undefined ? path : `${path}?${query}`, port: HEALTH_PORT },
      };
    }
    return Object.keys(changes).length === 0 ? container : { ...container, ...changes };
  });
  return { containers: moved, probes, warnings };
}

function portNumber(port: number | string, container: Container, where: string): number {
  if (typeof port === 'number') return port;
  const declared = container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
  if (Number.isInteger(declared) && declared > 0) return declared;
  throw new Error(`${where} names port "${port}", which the container does not declare: use its number`);
}

function splitQuery(path: string): [string, string | undefined] {
  const mark = path.indexOf('?');
  const plain = mark < 0 ? path : path.slice(0, mark);
  return [plain.startsWith('/') ? plain : `/${plain}`, mark < 0 ? undefined : path.slice(mark + 1)];
}
