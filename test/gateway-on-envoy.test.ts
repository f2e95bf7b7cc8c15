// SPDX-License-Identifier: Apache-2.0
// A gateway of a real Envoy whose certificates come from Secrets: who is shown which, who is let in, and what a new one costs.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { stringify } from 'yaml';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../src/pki/x509.ts';
import { serve } from '../src/runtime/serve.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { freePort } from './fixture/ports.ts';
import { revocationList } from './fixture/revocation.ts';
import { until } from './fixture/waiting.ts';
import { plaintextBootstrap } from './mesh/plaintext-bootstrap.ts';
import { type EnvoyProcess, httpGet, startEnvoy } from './xds/envoy-process.ts';

const envoyPath = findEnvoy();
const CA_NAME = 'partners';
const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
const caKeys = generateKeyPair();
const caPem = issueCertificate({
  subject: { commonName: CA_NAME },
  publicKey: caKeys.publicKey,
  selfKey: caKeys.privateKey,
  isCa: true,
  notBefore,
  notAfter,
});

interface Pair {
  readonly cert: string;
  readonly key: string;
}

function issue(commonName: string): Pair {
  const { privateKey, publicKey } = generateKeyPair();
  const cert = issueCertificate({
    subject: { commonName },
    publicKey,
    issuer: { certPem: caPem, key: caKeys.privateKey },
    usages: ['serverAuth', 'clientAuth'],
    notBefore,
    notAfter,
  });
  return { cert, key: privateKeyPem(privateKey) };
}

/** Servers that say themselves which TLS they take. */
const CHOOSY = {
  oldest: { minProtocolVersion: 'TLSV1_1', cipherSuites: ['ECDHE-ECDSA-AES128-SHA'] },
  suiteless: { minProtocolVersion: 'TLSV1_1' },
  old: { maxProtocolVersion: 'TLSV1_2', cipherSuites: ['ECDHE-ECDSA-AES256-GCM-SHA384'] },
  new: { minProtocolVersion: 'TLSV1_3' },
  curved: { ecdhCurves: ['P-384'] },
};

describe.skipIf(envoyPath === undefined)('a gateway', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-gateway-'));
  const config = join(dir, 'config');
  const ending = new AbortController();
  const [friend, stranger] = [issue('friend'), issue('stranger')];
  const app = http.createServer((request, response) =>
    response.end(`${request.headers.host} ${request.headers['x-forwarded-client-cert'] ?? ''}`),
  );
  const sockets = new WebSocketServer({ server: app });
  let ports: { plain: number; tls: number; bytes: number };
  let running: Promise<void>;
  let admin = 0;
  let envoy: EnvoyProcess;

  /** A file appears whole, as the kubelet and editors have it. */
  function write(name: string, ...objects: object[]): void {
    writeFileSync(join(dir, name), objects.map((object) => stringify(object)).join('---\n'));
    renameSync(join(dir, name), join(config, `${name}.yaml`));
  }

  function writeSecret(name: string, values: Record<string, string>): void {
    const data = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Buffer.from(v).toString('base64')]));
    write(`secret-${name}`, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'edge' }, data });
  }

  const gateway = (name: string, servers: object[]) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'default' },
    spec: { selector: { role: 'edge' }, servers: servers.map((server) => ({ bind: '127.0.0.1', ...server })) },
  });
  const httpsServer = (name: string, host: string, settings: object) => ({
    port: { number: ports.tls, name, protocol: 'HTTPS' },
    hosts: [host],
    tls: settings,
  });

  beforeAll(async () => {
    mkdirSync(config);
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)));
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    ports = { plain: await freePort(), tls: await freePort(), bytes: await freePort() };
    const backend = (app.address() as AddressInfo).port;
    write('backend', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'backend', namespace: 'default' },
      spec: {
        hosts: ['backend.example'],
        location: 'MESH_EXTERNAL',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: '127.0.0.1', ports: { http: backend } }],
      },
    });
    const hosts = ['*.shop.example', 'mutual.example', 'optional.example', 'broken.example', 'bytes.example'];
    const route = [{ destination: { host: 'backend.example', port: { number: 80 } } }];
    write('rule', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'all', namespace: 'default' },
      spec: {
        hosts,
        gateways: ['first', 'second'],
        http: [{ route }],
        tcp: [{ match: [{ port: ports.bytes }], route }],
      },
    });
    write(
      'gateways',
      gateway('first', [
        {
          port: { number: ports.plain, name: 'http', protocol: 'HTTP' },
          hosts: ['a.shop.example'],
          tls: { httpsRedirect: true },
        },
        httpsServer('a', 'a.shop.example', { mode: 'SIMPLE', credentialName: 'a' }),
        httpsServer('broken', 'broken.example', { mode: 'SIMPLE', credentialName: 'broken' }),
        httpsServer('mutual', 'mutual.example', { mode: 'MUTUAL', credentialName: 'mutual' }),
      ]),
      gateway('second', [
        httpsServer('b', 'b.shop.example', { mode: 'SIMPLE', credentialName: 'b' }),
        ...Object.entries(CHOOSY).map(([name, settings]) =>
          httpsServer(name, `${name}.example`, { mode: 'SIMPLE', credentialName: 'b', ...settings }),
        ),
        httpsServer('optional', 'optional.example', {
          mode: 'OPTIONAL_MUTUAL',
          credentialName: 'b',
          caCertCredentialName: 'mutual',
        }),
        {
          port: { number: ports.bytes, name: 'bytes', protocol: 'TLS' },
          hosts: ['bytes.example'],
          tls: { mode: 'SIMPLE', serverCertificate: join(dir, 'tls.crt'), privateKey: join(dir, 'tls.key') },
        },
      ]),
    );
    for (const name of ['a', 'b']) {
      const pair = issue(`first ${name}`);
      writeSecret(name, { 'tls.crt': pair.cert, 'tls.key': pair.key });
    }
    const mutual = issue('mutual');
    writeSecret('mutual', { cert: mutual.cert, key: mutual.key, cacert: caPem });
    writeSecret('broken', { 'tls.crt': mutual.cert, 'tls.key': issue('other').key });
    const files = issue('from files');
    writeFileSync(join(dir, 'tls.crt'), files.cert);
    writeFileSync(join(dir, 'tls.key'), files.key);
    const listening = Promise.withResolvers<{ xds: number; admin: number }>();
    running = serve(
      {
        configDir: config,
        host: '127.0.0.1',
        port: 0,
        adminPort: 0,
        cluster: 'cluster1',
        trustDomain: 'cluster.local',
        dnsDomain: 'cluster.local',
        keys: true,
        log: pino({ level: 'silent' }),
        onListening: listening.resolve,
      },
      ending.signal,
    );
    running.catch(listening.reject);
    const served = await listening.promise;
    admin = served.admin;
    const bootstrap = plaintextBootstrap(served.xds);
    const node = {
      id: 'router~127.0.0.1~edge-1.edge~edge.svc.cluster.local',
      cluster: 'edge',
      metadata: { LABELS: { role: 'edge' } },
    };
    envoy = startEnvoy(envoyPath!, dir, { ...bootstrap, node });
    await until('the gateway', async () => (await get('a.shop.example')).startsWith('a.shop.example'));
  });

  afterAll(async () => {
    await envoy?.stop();
    ending.abort();
    await running;
    sockets.close();
    app.closeAllConnections();
    app.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** What is answered, or why nothing is. */
  function get(host: string, options: https.RequestOptions = {}): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const to = { host: '127.0.0.1', port: ports.tls, servername: host, rejectUnauthorized: false, agent: false };
    https
      .get({ ...to, headers: { host }, ...options }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () => resolve(response.statusCode === 200 ? body : String(response.statusCode)));
      })
      .on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    return promise;
  }

  /** Whose certificate is shown for a name. */
  function shown(servername: string, port = ports.tls): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = tls.connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject?.CN));
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    return promise;
  }

  /** What the two agree upon, or the alert by which the gateway ends it. */
  function agreed(servername: string, options: tls.ConnectionOptions): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    // Versions before 1.2 are below the security level that clients have by default.
    const old = { ciphers: 'ALL:@SECLEVEL=0', minVersion: 'TLSv1.1' } as const;
    const to = { host: '127.0.0.1', port: ports.tls, servername, rejectUnauthorized: false, ...old, ...options };
    const socket = tls.connect(to, () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`${error.code}`));
    return promise;
  }

  const stat = async (name: string) => Number(/: (\d+)/.exec((await envoy.admin(`/stats?filter=^${name}$`)).body)?.[1]);
  const certificate = ({ cert, key }: Pair) => ({ cert, key });

  test('shows each server name its certificate, for Gateways of two owners on one port', async () => {
    expect(await shown('a.shop.example')).toBe('first a');
    expect(await shown('b.shop.example')).toBe('first b');
    expect(await shown('nobody.example')).toMatch(/^error/);
    expect(await get('b.shop.example')).toMatch(/^b\.shop\.example/);
  });

  test('sends plain HTTP to HTTPS', async () => {
    const redirected = Promise.withResolvers<string>();
    http.get(
      { host: '127.0.0.1', port: ports.plain, path: '/x', headers: { host: 'a.shop.example' }, agent: false },
      (response) => {
        response.resume();
        redirected.resolve(`${response.statusCode} ${response.headers.location}`);
      },
    );
    expect(await redirected.promise).toBe('301 https://a.shop.example/x');
  });

  test('MUTUAL lets in whom the roots vouch for, and OPTIONAL_MUTUAL also who shows nothing', async () => {
    expect(await get('mutual.example', certificate(friend))).toContain('Subject="CN=friend"');
    expect(await get('mutual.example')).toMatch(/^error/);
    expect(await get('optional.example')).toMatch(/^optional/);
    expect(await get('optional.example', certificate(friend))).toContain('Subject="CN=friend"');
    const other = generateKeyPair();
    const foreign = issueCertificate({
      subject: { commonName: 'x' },
      publicKey: other.publicKey,
      selfKey: other.privateKey,
      notBefore,
      notAfter,
    });
    const unknown = { cert: foreign, key: privateKeyPem(other.privateKey) };
    expect(await get('optional.example', unknown)).toMatch(/^error/);
  });

  test('speaks HTTP/2 and WebSocket', async () => {
    const session = http2.connect(`https://127.0.0.1:${ports.tls}`, {
      servername: 'a.shop.example',
      rejectUnauthorized: false,
    });
    const stream = session.request({ ':path': '/', ':authority': 'a.shop.example' });
    let answer = '';
    for await (const chunk of stream.setEncoding('utf8')) answer += String(chunk);
    session.close();
    expect(answer).toMatch(/^a\.shop\.example/);

    const options = { servername: 'a.shop.example', rejectUnauthorized: false, headers: { host: 'a.shop.example' } };
    const socket = new WebSocket(`wss://127.0.0.1:${ports.tls}/`, options);
    await once(socket, 'open');
    socket.send('hello');
    const [data] = (await once(socket, 'message')) as [Buffer];
    socket.close();
    expect(data.toString()).toBe('echo hello');
  });

  test('opens TLS for bytes that nobody reads, with a certificate from files', async () => {
    expect(await shown('bytes.example', ports.bytes)).toBe('from files');
    expect(await get('bytes.example', { port: ports.bytes })).toMatch(/^bytes\.example/);
  });

  test('takes the versions, suites and curves of TLS that its servers say', async () => {
    const only = (version: tls.SecureVersion) => ({ minVersion: version, maxVersion: version });
    const suite = (name: string) => ({ ...only('TLSv1.2'), ciphers: name });
    // As Envoy has it where nobody says anything.
    expect(await agreed('b.shop.example', only('TLSv1.1'))).toMatch(/PROTOCOL_VERSION/);
    expect(await agreed('b.shop.example', only('TLSv1.2'))).toMatch(/^TLSv1\.2 /);
    expect(await agreed('b.shop.example', {})).toMatch(/^TLSv1\.3 /);

    expect(await agreed('oldest.example', only('TLSv1.1'))).toBe('TLSv1.1 ECDHE-ECDSA-AES128-SHA');
    // None of Envoy's own suites is as old as that.
    expect(await agreed('suiteless.example', only('TLSv1.1'))).toMatch(/HANDSHAKE_FAILURE/);
    expect(await agreed('old.example', only('TLSv1.1'))).toMatch(/PROTOCOL_VERSION/);
    expect(await agreed('old.example', {})).toBe('TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384');
    expect(await agreed('old.example', only('TLSv1.3'))).toMatch(/PROTOCOL_VERSION/);
    expect(await agreed('old.example', suite('ECDHE-ECDSA-AES128-GCM-SHA256'))).toMatch(/HANDSHAKE_FAILURE/);
    expect(await agreed('new.example', only('TLSv1.2'))).toMatch(/PROTOCOL_VERSION/);
    expect(await agreed('new.example', {})).toMatch(/^TLSv1\.3 /);
    expect(await agreed('curved.example', { ecdhCurve: 'P-384' })).toMatch(/^TLSv1\.3 /);
    expect(await agreed('curved.example', { ecdhCurve: 'X25519' })).toMatch(/HANDSHAKE_FAILURE/);
  });

  test('takes those of tlsDefaults where its servers do not say', async () => {
    const mesh = stringify({ tlsDefaults: { minProtocolVersion: 'TLSV1_3', ecdhCurves: ['P-521'] } });
    write('mesh', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh },
    });
    const by12 = { maxVersion: 'TLSv1.2' } as const;
    await until('the defaults', async () => /PROTOCOL_VERSION/.test(await agreed('b.shop.example', by12)));
    expect(await agreed('b.shop.example', { ecdhCurve: 'P-521' })).toMatch(/^TLSv1\.3 /);
    expect(await agreed('b.shop.example', { ecdhCurve: 'X25519' })).toMatch(/HANDSHAKE_FAILURE/);
    expect(await agreed('curved.example', { ecdhCurve: 'P-384' })).toMatch(/^TLSv1\.3 /);
    expect(await agreed('oldest.example', { maxVersion: 'TLSv1.1', ecdhCurve: 'P-521:P-256' })).toMatch(/^TLSv1\.1 /);
    // A server that is told to stop at an older version keeps that one.
    expect(await agreed('old.example', {})).toBe('TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384');
    const suites = stringify({ tlsDefaults: { cipherSuites: ['ECDHE-ECDSA-CHACHA20-POLY1305'] } });
    write('mesh', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: suites },
    });
    await until('other defaults', async () => (await agreed('b.shop.example', by12)).endsWith('CHACHA20-POLY1305'));
    expect(await agreed('old.example', {})).toBe('TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384');
    write('mesh');
  });

  test('goes on where one Secret is broken, and says which', async () => {
    expect(await shown('broken.example')).toMatch(/^error/);
    const said = await httpGet({ port: admin, path: '/debug/diagnostics' });
    expect(said.body).toContain(
      'Secret edge/broken: tls.key is not the key of the certificate in tls.crt; nobody is served',
    );
    expect(said.body).not.toMatch(/PRIVATE KEY/);
    const mended = issue('mended');
    writeSecret('broken', { 'tls.crt': mended.cert, 'tls.key': mended.key });
    await until('the mended Secret', async () => (await shown('broken.example')) === 'mended');
    expect((await httpGet({ port: admin, path: '/debug/diagnostics' })).body).not.toContain('edge/broken');
  });

  test('a new certificate costs no request and no connection, and rebuilds no listener', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const modified = await stat('listener_manager.listener_modified');
    const failures: string[] = [];
    const seen = new Set<string>();
    const stop = new AbortController();
    const load = async (options: https.RequestOptions) => {
      while (!stop.signal.aborted) {
        const answer = await get('a.shop.example', options);
        if (!answer.startsWith('a.shop.example')) failures.push(answer);
      }
    };
    const loads = [load({ agent }), load({})];
    const before = Object.values(agent.sockets).flat()[0];
    expect(before).toBeDefined();
    for (let i = 1; i <= 3; i++) {
      const next = issue(`rotated ${i}`);
      writeSecret('a', { 'tls.crt': next.cert, 'tls.key': next.key });
      await until(`certificate ${i}`, async () => {
        const name = await shown('a.shop.example');
        seen.add(name);
        return name === `rotated ${i}`;
      });
    }
    stop.abort();
    await Promise.all(loads);
    const after = [...Object.values(agent.sockets).flat(), ...Object.values(agent.freeSockets).flat()][0];
    agent.destroy();
    expect(failures).toEqual([]);
    expect(after).toBe(before);
    expect([...seen].every((name) => /^(first a|rotated [123])$/.test(name))).toBe(true);
    expect(await stat('listener_manager.listener_modified')).toBe(modified);
  });

  test('whoever is on the list of the revoked is refused, and others are not', async () => {
    expect(await get('mutual.example', certificate(stranger))).toContain('CN=stranger');
    const mutual = issue('mutual');
    const crl = revocationList({ commonName: CA_NAME, key: caKeys.privateKey }, [stranger.cert]);
    writeSecret('mutual', { cert: mutual.cert, key: mutual.key, cacert: caPem, crl });
    await until('the list', async () => (await get('mutual.example', certificate(stranger))).startsWith('error'));
    expect(await get('mutual.example', certificate(friend))).toContain('CN=friend');
  });
});
