// SPDX-License-Identifier: Apache-2.0
// An API server of our own on loopback, with its PKI in a temporary directory, and stock kubectl for it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startApiServer } from '../../src/sandbox/apiserver/main.ts';
import { ensureClusterPki, type PkiPaths } from '../../src/sandbox/apiserver/pki.ts';
import { freePort } from '../fixture/ports.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubectlOptions {
  /** A bearer token instead of the administrator's certificate. */
  readonly token?: string;
  readonly stdin?: string;
  readonly env?: Record<string, string>;
}

export interface ApiFixture {
  readonly dataDir: string;
  readonly paths: PkiPaths;
  readonly server: string;
  /** What the server logged as warnings and errors. */
  readonly problems: string[];
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<Outcome>;
  /** As kubectl, but throws with its error output unless it succeeds; returns its output. */
  run(args: readonly string[], options?: KubectlOptions): Promise<string>;
  apply(object: object): Promise<void>;
  /** A service-account token by TokenRequest (`kubectl create token` needs kubectl 1.24). */
  token(namespace: string, account: string, spec?: object): Promise<string>;
  /** The user name behind a token; '' when it is refused (`kubectl auth whoami` needs 1.28). */
  whoami(token: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startApi(clusterName: string): Promise<ApiFixture> {
  const dataDir = mkdtempSync(join(tmpdir(), 'isthmus-api-'));
  const port = await freePort();
  const server = `https://127.0.0.1:${port}`;
  const paths = ensureClusterPki(dataDir, { clusterName, server, addresses: [], dnsNames: [] });
  const problems: string[] = [];
  const stopping = new AbortController();
  const running = await startApiServer(
    { clusterName, dataDir, listen: { host: '127.0.0.1', port }, advertiseAddresses: ['127.0.0.1'] },
    (level, message, fields) => {
      if (level !== 'info') problems.push(`${message} ${JSON.stringify(fields ?? {})}`);
    },
    stopping.signal,
  );
  const kubectl: ApiFixture['kubectl'] = async (args, { token, stdin, env } = {}) => {
    const access = token
      ? ['--kubeconfig', '/dev/null', '--server', server, '--certificate-authority', paths.caCert, '--token', token]
      : ['--kubeconfig', paths.kubeconfig.admin];
    const child = spawn('kubectl', [...access, '--cache-dir', join(dataDir, 'cache'), ...args], {
      env: { ...process.env, ...env },
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin ?? '');
    const code = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  };
  const run: ApiFixture['run'] = async (args, options) => {
    const { code, stdout, stderr } = await kubectl(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  return {
    dataDir,
    paths,
    server,
    problems,
    kubectl,
    run,
    async apply(object) {
      await run(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
    },
    async token(namespace, account, spec = {}) {
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
      const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
      return JSON.parse(await run(['create', '--raw', path, '-f', '-'], { stdin: JSON.stringify(request) })).status
        .token;
    },
    async whoami(token) {
      const stdin = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' });
      const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
      const { code, stdout } = await kubectl(['create', '--raw', path, '-f', '-'], { token, stdin });
      return code === 0 ? JSON.parse(stdout).status.userInfo.username : '';
    },
    async stop() {
      stopping.abort();
      await running.closed;
      rmSync(dataDir, { recursive: true });
    },
  };
}

/** One request without any credential but the given header. */
export async function rawStatus(api: ApiFixture, path: string, authorization?: string): Promise<number> {
  const { request } = await import('node:https');
  return new Promise((resolve, reject) => {
    const headers = authorization ? { Authorization: authorization } : {};
    request(`${api.server}${path}`, { ca: readFileSync(api.paths.caCert), headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .once('error', reject)
      .end();
  });
}
