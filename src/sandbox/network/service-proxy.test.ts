// SPDX-License-Identifier: Apache-2.0
// On loopback addresses: all of 127/8 is local, as the service addresses are in a router.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { HostPorts } from './host-ports.ts';
import { ServiceProxy } from './service-proxy.ts';
import { ServiceTable } from './service-table.ts';

interface Backend {
  readonly server: Server;
  readonly port: number;
  readonly connections: Socket[];
}

describe('the service proxy', () => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  function start(overrides: { drainMs?: number; random?: () => number; now?: () => number } = {}) {
    const errors: string[] = [];
    const table = new ServiceTable((key) => proxy.changed(key));
    const proxy = new ServiceProxy(table, {
      nodeAddress: '127.9.0.1',
      loadBalancerAddresses: ['127.9.1.1'],
      excluded: new Set(['kube-system/kube-dns']),
      fallback: new Map(),
      drainMs: overrides.drainMs ?? 30_000,
      nodeName: 'here',
      random: overrides.random ?? Math.random,
      now: overrides.now ?? performance.now.bind(performance),
      onError: (where, error) => errors.push(`${where}: ${error.message}`),
    });
    cleanups.push(() => proxy.close());
    return { table, proxy, errors };
  }

  /** Echoes, and says its name when the client has finished. */
  async function backend(name: string, host: string, port = 0): Promise<Backend> {
    const connections: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      connections.push(socket);
      socket.on('error', () => {});
      socket.pipe(socket, { end: false });
      socket.on('end', () => socket.end(`|${name}`));
    });
    server.listen({ host, port });
    await once(server, 'listening');
    cleanups.push(() => {
      server.close();
      for (const socket of connections) socket.destroy();
    });
    return { server, port: (server.address() as AddressInfo).port, connections };
  }

  it('forwards on every address of a service, both ways, half-closed', async () => {
    const { table } = start();
    const { port } = await backend('a', '127.0.0.1');
    table.upsertService(
      service({ clusterIP: '127.9.2.1', type: 'LoadBalancer', nodePort: 30_080 }, ['127.9.1.1', '127.9.1.9']),
    );
    table.upsertSlice(slice([{ address: '127.0.0.1' }], port));
    await settle();
    expect(await talk('127.9.2.1', 8080, 'hello')).toBe('hello|a');
    expect(await talk('127.9.1.1', 8080, 'x'.repeat(3_000_000))).toHaveLength(3_000_002);
    expect(await talk('127.9.0.1', 30_080, '')).toBe('|a');
    await expect(talk('127.9.1.9', 8080, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('spreads connections over ready endpoints only', async () => {
    let turn = 0;
    const { table } = start({ random: () => (turn++ % 10) / 10 });
    const first = await backend('a', '127.0.0.1');
    await backend('b', '127.0.0.2', first.port);
    await backend('c', '127.0.0.3', first.port);
    table.upsertService(service({ clusterIP: '127.9.2.2' }));
    table.upsertSlice(
      slice([{ address: '127.0.0.1' }, { address: '127.0.0.2' }, { address: '127.0.0.3', ready: false }], first.port),
    );
    await settle();
    const answers = new Set<string>();
    for (let i = 0; i < 10; i++) answers.add(await talk('127.9.2.2', 8080, ''));
    expect([...answers].sort()).toEqual(['|a', '|b']);
  });

  it('tries the next endpoint when one refuses', async () => {
    const { table } = start({ random: () => 0 });
    const { port } = await backend('a', '127.0.0.1');
    table.upsertService(service({ clusterIP: '127.9.2.3' }));
    table.upsertSlice(slice([{ address: '127.0.0.77' }, { address: '127.0.0.78' }, { address: '127.0.0.1' }], port));
    await settle();
    expect(await talk('127.9.2.3', 8080, 'hi')).toBe('hi|a');
  });

  it('nobody behind a service: refused, until somebody comes, and again when the service goes', async () => {
    const { table, errors } = start();
    const { port } = await backend('a', '127.0.0.1');
    table.upsertService(service({ clusterIP: '127.9.2.4' }));
    await settle();
    await expect(talk('127.9.2.4', 8080, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    for (let round = 0; round < 20; round++) {
      table.upsertSlice(slice([{ address: '127.0.0.1' }], port));
      await settle();
      expect(await talk('127.9.2.4', 8080, 'x')).toBe('x|a');
      table.deleteSlice(slice([], port));
      await settle();
      await expect(talk('127.9.2.4', 8080, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
    expect(errors).toEqual([]);
  });

  it('an endpoint that leaves keeps its connections for the drain time, and gets no new ones', async () => {
    const { table } = start({ drainMs: 150, random: () => 0 });
    const first = await backend('a', '127.0.0.1');
    await backend('b', '127.0.0.2', first.port);
    table.upsertService(service({ clusterIP: '127.9.2.5' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }, { address: '127.0.0.2' }], first.port));
    await settle();
    const old = connect({ host: '127.9.2.5', port: 8080 });
    const reset = new Promise<NodeJS.ErrnoException>((resolve) => old.on('error', resolve));
    old.write('one');
    expect(String((await once(old, 'data'))[0])).toBe('one');
    table.upsertSlice(slice([{ address: '127.0.0.2' }], first.port));
    await settle();
    expect(await talk('127.9.2.5', 8080, '')).toBe('|b');
    old.write('two');
    expect(String((await once(old, 'data'))[0])).toBe('two');
    expect((await reset).code).toBe('ECONNRESET');
  });

  it('uses endpoints that are on their way out when nobody else is left', async () => {
    const { table } = start();
    const { port } = await backend('a', '127.0.0.1');
    table.upsertService(service({ clusterIP: '127.9.2.6' }));
    table.upsertSlice(slice([{ address: '127.0.0.1', ready: false, serving: true, terminating: true }], port));
    await settle();
    expect(await talk('127.9.2.6', 8080, 'bye')).toBe('bye|a');
  });

  it('a connection to an endpoint on its way out stays, also past the drain time; new ones go elsewhere', async () => {
    const { table } = start({ drainMs: 50 });
    const first = await backend('a', '127.0.0.1');
    await backend('b', '127.0.0.2', first.port);
    table.upsertService(service({ clusterIP: '127.9.2.10' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }], first.port));
    await settle();
    const old = connect({ host: '127.9.2.10', port: 8080 });
    cleanups.push(() => old.destroy());
    old.write('one');
    expect(String((await once(old, 'data'))[0])).toBe('one');
    const leaving = { address: '127.0.0.1', ready: false, serving: true, terminating: true };
    table.upsertSlice(slice([leaving, { address: '127.0.0.2' }], first.port));
    await sleep(200);
    expect(await talk('127.9.2.10', 8080, '')).toBe('|b');
    old.write('two');
    expect(String((await once(old, 'data'))[0])).toBe('two');
  });

  it('sessionAffinity: a client stays with its endpoint until it was silent for the time given', async () => {
    let now = 0;
    let dice = 0;
    const { table } = start({ now: () => now, random: () => dice });
    const first = await backend('a', '127.0.0.1');
    await backend('b', '127.0.0.2', first.port);
    const sticky = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
    table.upsertService(service({ clusterIP: '127.9.2.11', ...sticky }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }, { address: '127.0.0.2' }], first.port));
    await settle();
    const who = () => talk('127.9.2.11', 8080, '');
    expect(await who()).toBe('|a');
    dice = 0.9;
    now = 59_000;
    expect(await who()).toBe('|a');
    now += 60_000;
    expect(await who()).toBe('|a');
    now += 60_001;
    expect(await who()).toBe('|b');
    dice = 0;
    // Gone: another one, and that one from now on.
    table.upsertSlice(slice([{ address: '127.0.0.1' }], first.port));
    await settle();
    expect(await who()).toBe('|a');
    table.upsertService(service({ clusterIP: '127.9.2.11' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }, { address: '127.0.0.2' }], first.port));
    await settle();
    dice = 0.9;
    expect(await who()).toBe('|b');
  });

  it('traffic policy Local: endpoints of other nodes do not count, on that side', async () => {
    const { table } = start({ random: () => 0.9 });
    const first = await backend('a', '127.0.0.1');
    await backend('b', '127.0.0.2', first.port);
    table.upsertService(
      service({ clusterIP: '127.9.2.12', type: 'NodePort', nodePort: 31_812, externalTrafficPolicy: 'Local' }),
    );
    const endpoints = [
      { address: '127.0.0.1', nodeName: 'here' },
      { address: '127.0.0.2', nodeName: 'elsewhere' },
    ];
    table.upsertSlice(slice(endpoints, first.port));
    await settle();
    expect(await talk('127.9.0.1', 31_812, '')).toBe('|a');
    expect(await talk('127.9.2.12', 8080, '')).toBe('|b');
    table.upsertSlice(slice([endpoints[1]!], first.port));
    await settle();
    await expect(talk('127.9.0.1', 31_812, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await talk('127.9.2.12', 8080, '')).toBe('|b');
  });

  it('host ports lead to the container as long as its pod has an address', async () => {
    const errors: string[] = [];
    const hostPorts = new HostPorts({
      nodeAddress: '127.9.0.3',
      random: Math.random,
      drainMs: 1_000,
      onError: (where, error) => errors.push(`${where}: ${error.message}`),
    });
    cleanups.push(() => hostPorts.close());
    const target = await backend('a', '127.0.0.1');
    const pod = (name: string, status: object): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { containers: [{ ports: [{ hostPort: 31_813, containerPort: target.port }] }, {}] },
      status,
    });
    hostPorts.upsert(pod('web', {}));
    await settle();
    await expect(talk('127.9.0.3', 31_813, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    hostPorts.upsert(pod('web', { podIP: '127.0.0.1', phase: 'Running' }));
    await settle();
    expect(await talk('127.9.0.3', 31_813, 'x')).toBe('x|a');
    hostPorts.upsert(pod('web', { podIP: '127.0.0.1', phase: 'Succeeded' }));
    hostPorts.upsert(pod('next', { podIP: '127.0.0.1', phase: 'Running' }));
    await expect.poll(() => talk('127.9.0.3', 31_813, 'y').catch(String), { timeout: 5_000 }).toBe('y|a');
    hostPorts.remove(pod('next', {}));
    await settle();
    await expect(talk('127.9.0.3', 31_813, '')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('a reset of the endpoint is a reset for the client', async () => {
    const { table } = start();
    const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    cleanups.push(() => server.close());
    table.upsertService(service({ clusterIP: '127.9.2.7' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }], (server.address() as AddressInfo).port));
    await settle();
    await expect(talk('127.9.2.7', 8080, 'x')).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('holds a thousand idle connections', async () => {
    const { table } = start();
    const target = await backend('a', '127.0.0.1');
    table.upsertService(service({ clusterIP: '127.9.2.8' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }], target.port));
    await settle();
    const clients = Array.from({ length: 1_000 }, () =>
      connect({ host: '127.9.2.8', port: 8080, allowHalfOpen: true }),
    );
    cleanups.push(() => {
      for (const client of clients) client.destroy();
    });
    const answers = await Promise.all(
      clients.map(async (client, i) => {
        client.write(`${i}`);
        return String((await once(client, 'data'))[0]);
      }),
    );
    expect(answers).toEqual(clients.map((_, i) => `${i}`));
    expect(target.connections).toHaveLength(1_000);
  });

  it('UDP: answers go back to who asked', async () => {
    const { table } = start();
    const server = createSocket('udp4');
    server.on('message', (message, { port, address }) => server.send(`echo ${message}`, port, address));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    table.upsertService(service({ clusterIP: '127.9.2.9', protocol: 'UDP' }));
    table.upsertSlice(slice([{ address: '127.0.0.1' }], server.address().port));
    await settle();
    const ask = async (text: string) => {
      const client = createSocket('udp4');
      cleanups.push(() => client.close());
      client.send(text, 8080, '127.9.2.9');
      return String((await once(client, 'message'))[0]);
    };
    expect(await Promise.all(['a', 'b', 'c'].map(ask))).toEqual(['echo a', 'echo b', 'echo c']);
  });
});

function service(
  spec: { clusterIP: string; type?: string; nodePort?: number; protocol?: string; [field: string]: unknown },
  ingress: string[] = [],
): KubeObject {
  const { clusterIP, type, nodePort, protocol = 'TCP', ...rest } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web' },
    spec: { ...rest, type, clusterIP, ports: [{ name: 'web', port: 8080, nodePort, protocol }] },
    status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
  };
}

function slice(
  endpoints: { address: string; nodeName?: string; ready?: boolean; serving?: boolean; terminating?: boolean }[],
  port: number,
): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'default', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: endpoints.map(({ address, nodeName, ...conditions }) => ({
      addresses: [address],
      nodeName,
      conditions,
    })),
    ports: [{ name: 'web', port }],
  };
}

/** Sends, finishes, and returns everything that came back. */
function talk(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    let received = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      received += chunk;
    });
    socket.on('error', reject).on('end', () => resolve(received));
    if (text !== '') socket.write(text);
    socket.end();
  });
}

/** Changes are handled in the next turn of the loop; binding takes another. */
function settle(): Promise<void> {
  return sleep(30);
}
