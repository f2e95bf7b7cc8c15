// SPDX-License-Identifier: Apache-2.0
// Where a cluster is and who we are there: from a kubeconfig file or from inside a pod.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { type ExecPlugin, execToken } from './exec-credential.ts';

export interface ClientConfig {
  /** https://HOST:PORT, perhaps with a path. */
  server: string;
  caPem?: string;
  clientCertPem?: string;
  clientKeyPem?: string;
  /** Called for every request: tokens in files are rotated. */
  token?: () => string;
  /** http://HOST:PORT of a proxy that understands CONNECT. */
  proxyUrl?: string;
  insecureSkipTlsVerify?: boolean;
  /** The name to ask for and to check in the server's certificate, when it is not the host of `server`. */
  tlsServerName?: string;
  /** Sent with every request; an API server takes the field manager's name from what stands before the slash. */
  userAgent?: string;
  /** The namespace that the context names. */
  namespace?: string;
  /** The longest silence on a connection before it counts as dead; default: a minute. */
  idleTimeoutMs?: number;
}

type Fields = Record<string, unknown>;
interface Entry {
  fields: Fields;
  /** The file that the entry comes from: relative paths start at its folder. */
  file: string;
}

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Reads a context of a kubeconfig.
 * @param path a file; by default every file in $KUBECONFIG (the first one to define a name wins), or ~/.kube/config
 * @param context by default the file's current-context
 * @throws Error that names file, context and field
 */
export function loadKubeconfig(path?: string, context?: string): ClientConfig {
  const files = kubeconfigFiles(path);
  const documents = files.map((file) => ({ file, content: readDocument(file) }));
  const where = files.join(', ');
  const name = context ?? documents.map(({ content }) => content['current-context']).find(isText);
  if (name === undefined) throw new Error(`${where}: no context was named and current-context is not set`);
  const find = (list: string, member: string, wanted: string): Entry => {
    for (const { file, content } of documents) {
      const entries = Array.isArray(content[list]) ? (content[list] as unknown[]) : [];
      const entry = entries.find((candidate) => isFields(candidate) && candidate['name'] === wanted) as
        | Fields
        | undefined;
      if (entry !== undefined) return { fields: isFields(entry[member]) ? (entry[member] as Fields) : {}, file };
    }
    throw new Error(`${where}: context "${name}": ${list} has no entry named "${wanted}"`);
  };
  const chosen = find('contexts', 'context', name);
  const at = `${chosen.file}: context "${name}"`;
  const clusterName = chosen.fields['cluster'];
  if (!isText(clusterName)) throw new Error(`${at}: field cluster is missing`);
  const config = readCluster(find('clusters', 'cluster', clusterName), `${at}: cluster "${clusterName}"`);
  const userName = chosen.fields['user'];
  if (isText(userName)) Object.assign(config, readUser(find('users', 'user', userName), `${at}: user "${userName}"`));
  if (isText(chosen.fields['namespace'])) config.namespace = chosen.fields['namespace'];
  return config;
}

export interface KubeContext {
  readonly name: string;
  /** The API server's address; undefined where the context's cluster is not in the files. */
  readonly server: string | undefined;
}

/**
 * Every context of a kubeconfig, in the file's order; of those with one name the first.
 * @param path as `loadKubeconfig` has it
 * @throws Error that names a file which cannot be read
 */
export function listContexts(path?: string): KubeContext[] {
  const documents = kubeconfigFiles(path).map(readDocument);
  const named = (list: string, member: string): [string, Fields][] =>
    documents.flatMap((content) => {
      const entries = Array.isArray(content[list]) ? (content[list] as unknown[]) : [];
      return entries.flatMap((entry): [string, Fields][] =>
        isFields(entry) && isText(entry['name']) && isFields(entry[member]) ? [[entry['name'], entry[member]]] : [],
      );
    });
  const clusters = named('clusters', 'cluster');
  const contexts = new Map(named('contexts', 'context').reverse());
  return [...new Set(named('contexts', 'context').map(([name]) => name))].map((name) => {
    const server = clusters.find(([cluster]) => cluster === contexts.get(name)?.['cluster'])?.[1]['server'];
    return { name, server: isText(server) ? server : undefined };
  });
}

/** The pod's own service account. @throws Error when this process does not run in a pod */
export function inClusterConfig(): ClientConfig {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const port = process.env['KUBERNETES_SERVICE_PORT'];
  if (!host || !port) {
    throw new Error('not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; pass a kubeconfig');
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    caPem: readFileSync(join(SERVICE_ACCOUNT_DIR, 'ca.crt'), 'utf8'),
    token: () => readFileSync(join(SERVICE_ACCOUNT_DIR, 'token'), 'utf8').trim(),
    namespace: readFileSync(join(SERVICE_ACCOUNT_DIR, 'namespace'), 'utf8').trim(),
  };
}

function kubeconfigFiles(path: string | undefined): string[] {
  if (path !== undefined) return [resolve(path)];
  const listed = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')];
}

function readDocument(file: string): Fields {
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Error(`kubeconfig ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  if (!isFields(content)) throw new Error(`kubeconfig ${file} is not a YAML mapping`);
  return content;
}

function readCluster(entry: Entry, at: string): ClientConfig {
  const { fields } = entry;
  const server = fields['server'];
  if (!isText(server) || !URL.canParse(server)) throw new Error(`${at}: field server is missing or is not a URL`);
  const config: ClientConfig = { server: server.replace(/\/+$/, '') };
  const caPem = readPem(entry, 'certificate-authority', at);
  if (caPem !== undefined) config.caPem = caPem;
  if (fields['insecure-skip-tls-verify'] === true) config.insecureSkipTlsVerify = true;
  if (isText(fields['tls-server-name'])) config.tlsServerName = fields['tls-server-name'];
  const proxyUrl = fields['proxy-url'];
  if (isText(proxyUrl)) {
    if (!URL.canParse(proxyUrl) || new URL(proxyUrl).protocol !== 'http:') {
      throw new Error(`${at}: field proxy-url is "${proxyUrl}"; only http://HOST:PORT is supported`);
    }
    config.proxyUrl = proxyUrl;
  }
  return config;
}

function readUser(entry: Entry, at: string): Partial<ClientConfig> {
  const { fields, file } = entry;
  for (const unsupported of ['auth-provider', 'username']) {
    if (fields[unsupported] !== undefined) {
      throw new Error(
        `${at}: field ${unsupported} is not supported; use a client certificate, token, tokenFile or exec`,
      );
    }
  }
  const user: Partial<ClientConfig> = {};
  const clientCertPem = readPem(entry, 'client-certificate', at);
  const clientKeyPem = readPem(entry, 'client-key', at);
  if ((clientCertPem === undefined) !== (clientKeyPem === undefined)) {
    throw new Error(`${at}: client-certificate and client-key must come together`);
  }
  if (clientCertPem !== undefined && clientKeyPem !== undefined) Object.assign(user, { clientCertPem, clientKeyPem });
  const { token, tokenFile } = fields;
  if (isText(tokenFile)) {
    const tokenPath = resolve(dirname(file), tokenFile);
    user.token = () => readFileSync(tokenPath, 'utf8').trim();
  } else if (isText(token)) {
    user.token = () => token;
  } else if (isFields(fields['exec'])) {
    if (!isText(fields['exec']['command'])) throw new Error(`${at}: field exec.command is missing`);
    user.token = execToken(fields['exec'] as unknown as ExecPlugin, dirname(file), at);
  }
  return user;
}

function readPem({ fields, file }: Entry, field: string, at: string): string | undefined {
  const data = fields[`${field}-data`];
  if (isText(data)) return Buffer.from(data, 'base64').toString('utf8');
  const path = fields[field];
  if (!isText(path)) return undefined;
  try {
    return readFileSync(resolve(dirname(file), path), 'utf8');
  } catch (cause) {
    throw new Error(`${at}: field ${field}: ${(cause as Error).message}`, { cause });
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
