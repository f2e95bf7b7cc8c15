// SPDX-License-Identifier: Apache-2.0
// Broken and hostile clients, and configuration that nobody should write, on a real server process: time and memory stay
// bounded, what is wrong is named, and a client that does nothing wrong is served all the while.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import type { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { messagePrefix } from '../../src/xds/grpc/framing.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE } from '../../src/xds/session/type-urls.ts';
import { rounds } from '../fixture/counts.ts';
import { until } from '../fixture/waiting.ts';
import { ADS, connectClient, deltaRequest, openDelta, openSotw, sotwRequest } from './discovery-client.ts';
import { ServeProcess } from './serve-process.ts';

const NODE = { id: 'sidecar~10.1.0.1~client.default~default.svc.cluster.local' };
const PEAK_MB = 1500;

function entry(name: string, port: number, more = ''): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: default }
spec:
  hosts: [${name}.example.com]
  ports: [{ name: http, number: ${port}, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 192.0.2.1 }]
${more}`;
}

let serve: ServeProcess;
let client: Client;
let polite: PoliteClient;

/** Takes and acknowledges whatever it is sent of clusters. */
class PoliteClient {
  readonly clusters = new Set<string>();
  readonly #stream = openDelta(client);
  #isOver = false;

  async run(): Promise<void> {
    this.#stream.send(deltaRequest({ node: NODE, typeUrl: CLUSTER_TYPE }));
    while (!this.#isOver) {
      const response = await this.#stream.next(600_000).catch(() => undefined);
      if (response === undefined || this.#isOver) return;
      for (const { name } of response.resources) this.clusters.add(name);
      for (const name of response.removedResources) this.clusters.delete(name);
      this.#stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: response.nonce }));
    }
  }

  stop(): void {
    this.#isOver = true;
    this.#stream.cancel();
  }
}

let changes = 0;
/** A change comes through to the polite client. */
async function expectServed(): Promise<void> {
  const port = 20_000 + ++changes;
  serve.write('changing.yaml', entry('changing', port));
  const wanted = `outbound|${port}||changing.example.com`;
  await expect.poll(() => polite.clusters.has(wanted), { timeout: 60_000 }).toBe(true);
  expect(serve.peakMemory).toBeLessThan(PEAK_MB);
}

beforeAll(async () => {
  serve = await ServeProcess.start({ 'one.yaml': entry('one', 8081), 'changing.yaml': entry('changing', 20_000) });
  client = connectClient(serve.ports.xds);
  polite = new PoliteClient();
  void polite.run();
  await until('the first clusters', () => polite.clusters.has('outbound|8081||one.example.com'));
});

afterAll(async () => {
  polite?.stop();
  client?.close();
  await serve?.stop();
});

describe('a client', () => {
  test('that answers with nonces that were never given, or long ago, is sent what is new all the same', async () => {
    const stream = openDelta(client);
    stream.send(deltaRequest({ node: NODE, typeUrl: CLUSTER_TYPE }));
    const first = await stream.next();
    for (const responseNonce of ['nonsense', '', '999999', 'x'.repeat(100_000)]) {
      stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce }));
      stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce, errorDetail: { code: 3, message: 'no' } }));
    }
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    await expectServed();
    expect((await stream.next()).resources.map((r) => r.name)).toContain(
      `outbound|${20_000 + changes}||changing.example.com`,
    );
    stream.cancel();

    const sotw = openSotw(client);
    sotw.send(sotwRequest({ node: NODE, typeUrl: CLUSTER_TYPE }));
    await sotw.next();
    for (const responseNonce of ['nonsense', '999999'])
      sotw.send(sotwRequest({ typeUrl: CLUSTER_TYPE, responseNonce }));
    expect(await sotw.isQuiet()).toBe(true);
    sotw.cancel();
  });

  test('that asks for types that do not exist hears nothing, and for a hundred of them no more', async () => {
    const stream = openDelta(client);
    stream.send(
      deltaRequest({ node: NODE, typeUrl: 'type.googleapis.com/no.such.Type', resourceNamesSubscribe: ['x'] }),
    );
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE }));
    expect(['type.googleapis.com/no.such.Type', CLUSTER_TYPE]).toContain((await stream.next()).typeUrl);
    for (let i = 0; i < 100; i++) stream.send(deltaRequest({ typeUrl: `type.googleapis.com/no.such.Type${i}` }));
    expect(await stream.ended).toMatchObject({ code: 3, details: expect.stringContaining('64 types') });
    await expectServed();
  });

  test('that refuses whatever it gets is sent each resource a few times, and then nothing until it changes', async () => {
    const stream = openDelta(client);
    stream.send(deltaRequest({ node: NODE, typeUrl: CLUSTER_TYPE }));
    let responses = 0;
    let resources = 0;
    for (;;) {
      const response = await stream.next(1_000).catch(() => undefined);
      if (response === undefined) break;
      responses++;
      resources = Math.max(resources, response.resources.length);
      const refusal = { code: 13, message: 'I take nothing' };
      stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: response.nonce, errorDetail: refusal }));
      expect(responses).toBeLessThan(2 * resources + 2);
    }
    expect(responses).toBeGreaterThan(1);
    await expectServed();
    stream.cancel();
  });

  test('that names whatever it can think of is cut off', async () => {
    const stream = openDelta(client);
    stream.send(deltaRequest({ node: NODE, typeUrl: ENDPOINT_TYPE }));
    for (let i = 0; i < 6; i++) {
      const resourceNamesSubscribe = Array.from({ length: 50_000 }, (_, j) => `outbound|80||h${i}-${j}.example.com`);
      stream.send(deltaRequest({ typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe }));
    }
    expect(await stream.ended).toMatchObject({ code: 3, details: expect.stringContaining('250000 resources') });
    await expectServed();
  });

  test('that names few things at great length is cut off, and so is one that says too much of itself', async () => {
    const stream = openDelta(client);
    stream.send(deltaRequest({ node: NODE, typeUrl: ENDPOINT_TYPE }));
    for (let i = 0; i < 20; i++) {
      stream.send(deltaRequest({ typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: [`${i}${'x'.repeat(1_000_000)}`] }));
    }
    expect(await stream.ended).toMatchObject({
      code: 3,
      details: expect.stringContaining('bytes of what there is not'),
    });
    const talkative = openDelta(client);
    const metadata = { LABELS: { app: 'x'.repeat(1_000_000) } };
    talkative.send(deltaRequest({ node: { ...NODE, metadata }, typeUrl: CLUSTER_TYPE }));
    expect(await talkative.ended).toMatchObject({ code: 3, details: expect.stringContaining('metadata are longer') });
    await expectServed();
  });

  test('that speaks no HTTP/2, a hundred times, is worth no line of the log', async () => {
    const before = serve.errors.length;
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const socket = connectTcp(serve.ports.xds, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
        socket.on('error', () => {}).resume();
        await once(socket, 'close');
      }),
    );
    await expectServed();
    expect(serve.errors.slice(before)).toEqual([]);
  });

  test('that begins large messages and ends none is cut off, however many streams it has', async () => {
    const greedy = connectHttp2(`http://127.0.0.1:${serve.ports.xds}`);
    const closed = new Promise((resolve) => greedy.once('close', resolve));
    greedy.on('error', () => {});
    const head = Buffer.concat([messagePrefix(15 * 1024 * 1024), Buffer.alloc(14 * 1024 * 1024)]);
    for (let i = 0; i < 40; i++) {
      const stream = greedy.request({
        ':method': 'POST',
        ':path': `${ADS}/DeltaAggregatedResources`,
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {}).resume();
      stream.write(head);
    }
    await closed;
    await expectServed();
  });
});

describe('configuration', () => {
  test('of a hundred megabytes in one document, or of documents without end, is named', async () => {
    const huge = `${entry('huge', 9000)}  exportTo:\n${'    - "*"\n'.repeat(10_000_000)}`;
    expect(huge.length).toBeGreaterThan(100_000_000);
    serve.write('huge.yaml', huge);
    serve.write('many.yaml', 'nothing\n---\n'.repeat(rounds(50_000, 8_000_000)));
    await expectServed();
    await expect
      .poll(async () => (await serve.problems()).map(({ where }) => where), { timeout: 120_000 })
      .toContain('many.yaml:1');
    expect(await serve.problems()).toContainEqual(
      expect.objectContaining({
        where: 'huge.yaml:1',
        message: expect.stringMatching(/^ServiceEntry huge has \d+ MB/),
      }),
    );
    serve.remove('huge.yaml');
    serve.remove('many.yaml');
    await expect.poll(() => serve.problems(), { timeout: 60_000 }).toEqual([]);
    await expectServed();
  });

  test('of many objects is read while others are served', async () => {
    const count = rounds(2_000, 50_000);
    const objects = Array.from({ length: count }, (_, i) => entry(`crowd-${i}`, 9000, '  exportTo: [elsewhere]\n'));
    serve.write('crowd.yaml', objects.join('---'));
    await expectServed();
    serve.remove('crowd.yaml');
    await expectServed();
  });

  test('with ten thousand hosts in one object is taken', async () => {
    const hosts = Array.from({ length: 10_000 }, (_, i) => `h${i}.example.org`);
    serve.write(
      'hosts.yaml',
      entry('hosts', 9100).replace('hosts: [hosts.example.com]', `hosts: [${hosts.join(', ')}]`),
    );
    await expect.poll(() => polite.clusters.has('outbound|9100||h9999.example.org'), { timeout: 120_000 }).toBe(true);
    await expectServed();
    serve.remove('hosts.yaml');
    await expectServed();
  });

  test('with faults beyond counting says a hundred of them', async () => {
    const hosts = Array.from({ length: 10_000 }, (_, i) => `"!${i}"`);
    serve.write(
      'faults.yaml',
      entry('faults', 9200).replace('hosts: [faults.example.com]', `hosts: [${hosts.join(', ')}]`),
    );
    await expect.poll(async () => (await serve.diagnostics()).length, { timeout: 60_000 }).toBe(100);
    expect((await serve.diagnostics()).at(-1)).toMatchObject({ object: { name: 'faults' }, line: 6 });
    await expectServed();
    serve.remove('faults.yaml');
    await expect.poll(() => serve.diagnostics()).toEqual([]);
  });

  test.each([
    ['nested repetitions', '(((a{1,100}){1,100}){1,100}){1,100}'],
    ['a thousand alternatives repeated', `(${Array.from({ length: 300 }, (_, i) => `w${i}`).join('|')}){1000}`],
    ['parentheses without end', '('.repeat(4000)],
    ['what backtracking engines die of', '(a*)*(a*)*(a*)*(a*)*b'.repeat(150)],
  ])('with an expression of %s is refused or taken, at once', async (_, regex) => {
    serve.write(
      'regex.yaml',
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: regex, namespace: default }
spec:
  hosts: [one.example.com]
  http:
    - match: [{ uri: { regex: '${regex}' } }]
      route: [{ destination: { host: one.example.com } }]
`,
    );
    await expectServed();
    for (const { code, object, field } of await serve.diagnostics()) {
      expect({ code, name: object.name, field }).toEqual({
        code: 'IST0106',
        name: 'regex',
        field: 'spec.http[0].match[0].uri.regex',
      });
    }
    serve.remove('regex.yaml');
  });
});
