// SPDX-License-Identifier: Apache-2.0
// The kubelet has no certificate of the mesh, so its probes and hooks could not pass the proxy. They are sent to the
// proxy's health port instead, as HTTP: what the kubelet asks for there is passed on to the application, or answered by what
// Envoy's own checks of the application's port have found. Nothing else gets through.
import { HEALTH_PORT } from './bootstrap.ts';
import type { Container } from './pod.ts';

/** One request of the kubelet's, by the health listener. */
export interface AppProbe {
  /** Path and query as the kubelet asks for them now. */
  readonly path: string;
  readonly appPort: number;
  readonly check:
    | { readonly kind: 'http'; readonly tls: boolean /** As the application knows it. */; readonly appPath: string }
    | { readonly kind: 'tcp'; readonly timeoutSeconds: number }
    /** `service` of the health-checking protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
    | { readonly kind: 'grpc'; readonly service: string; readonly timeoutSeconds: number };
}

export interface MovedProbes {
  readonly containers: readonly Container[];
  readonly probes: readonly AppProbe[];
}

interface HttpGet {
  readonly path?: string;
  readonly port: number | string;
  readonly scheme?: string;
  readonly host?: string;
  readonly [member: string]: unknown;
}

interface Handler {
  readonly httpGet?: HttpGet;
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly timeoutSeconds?: number;
  readonly [member: string]: unknown;
}

interface Moved {
  readonly handler: Handler;
  readonly probe: AppProbe;
}

const PROBES = { livenessProbe: 'livez', readinessProbe: 'readyz', startupProbe: 'startupz' } as const;
const HOOKS = { postStart: 'poststart', preStop: 'prestop' } as const;

/** @throws Error naming the container and the probe whose port has a name that the container does not declare */
export function moveProbes(containers: readonly Container[]): MovedProbes {
  const probes: AppProbe[] = [];
  const moveAll = (from: Readonly<Record<string, unknown>>, names: Readonly<Record<string, string>>, of: Container) => {
    const changes: Record<string, Handler> = {};
    for (const [member, suffix] of Object.entries(names)) {
      const moved = move(from[member] as Handler | undefined, member, suffix, of);
      if (moved === undefined) continue;
      probes.push(moved.probe);
      changes[member] = moved.handler;
    }
    return changes;
  };
  const moved = containers.map((container) => {
    const lifecycle = container['lifecycle'] as Record<string, unknown> | undefined;
    const hooks = lifecycle === undefined ? {} : moveAll(lifecycle, HOOKS, container);
    return {
      ...container,
      ...moveAll(container, PROBES, container),
      ...(Object.keys(hooks).length > 0 && { lifecycle: { ...lifecycle, ...hooks } }),
    };
  });
  return { containers: moved, probes };
}

/** undefined for what does not come to the pod's ports: no probe, a command, another host. */
function move(handler: Handler | undefined, member: string, suffix: string, container: Container): Moved | undefined {
  if (handler === undefined) return undefined;
  const path = `/app-health/${container.name}/${suffix}`;
  const where = `${member} of container ${container.name}`;
  const { httpGet, tcpSocket, grpc, ...rest } = handler;
  const timeoutSeconds = handler.timeoutSeconds ?? 1;
  const moved = (probe: AppProbe, members: object = {}): Moved => ({
    handler: { ...rest, httpGet: { ...members, path: probe.path, port: HEALTH_PORT } },
    probe,
  });
  if (httpGet !== undefined && httpGet.host === undefined) {
    const [appPath, query] = splitQuery(httpGet.path ?? '/');
    const { scheme, ...members } = httpGet;
    const check = { kind: 'http', tls: scheme === 'HTTPS', appPath } as const;
    return moved({ path: path + query, appPort: portNumber(httpGet.port, container, where), check }, members);
  }
  if (tcpSocket !== undefined && tcpSocket.host === undefined && member in PROBES) {
    const check = { kind: 'tcp', timeoutSeconds } as const;
    return moved({ path, appPort: portNumber(tcpSocket.port, container, where), check });
  }
  if (grpc !== undefined) {
    const check = { kind: 'grpc', service: grpc.service ?? '', timeoutSeconds } as const;
    return moved({ path, appPort: grpc.port, check });
  }
  return undefined;
}

function portNumber(port: number | string, container: Container, where: string): number {
  if (typeof port === 'number') return port;
  const declared = container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
  if (Number.isInteger(declared) && declared > 0) return declared;
  throw new Error(`${where} names port "${port}", which the container does not declare: use its number`);
}

/** The query keeps its question mark. */
function splitQuery(path: string): [path: string, query: string] {
  const mark = path.indexOf('?');
  const plain = mark < 0 ? path : path.slice(0, mark);
  return [plain.startsWith('/') ? plain : `/${plain}`, mark < 0 ? '' : path.slice(mark)];
}
