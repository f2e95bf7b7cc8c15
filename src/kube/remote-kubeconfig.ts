// SPDX-License-Identifier: Apache-2.0
// A kubeconfig that came over the network: only what stands in it is used. Whatever would run a program, read a file or
// trust anybody on this machine is refused, by name.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isMap, LineCounter, type Node, parseDocument } from 'yaml';
import type { ClientConfig } from './config.ts';

/** Of Secrets whose data keys are kubeconfigs of clusters to be watched, under the name that Istio's users know. */
export const REMOTE_SECRET_LABEL = 'istio/multiCluster=true';

export interface KubeconfigFault {
  /** `users[0].user.exec`; '' for the text as a whole. */
  readonly field: string;
  readonly message: string;
  readonly cure: string;
  /** 1-based, in the text. */
  readonly line?: number;
}

export type ParsedKubeconfig = { readonly config: ClientConfig } | { readonly faults: readonly KubeconfigFault[] };

type Fields = Readonly<Record<string, unknown>>;

const TOKEN_CURE = 'give a service-account token (token), or client-certificate-data with client-key-data';
/** What another program than this one may use. */
const REFUSED_USER: Readonly<Record<string, string>> = {
  exec: 'would run a program on the control plane',
  'auth-provider': 'would run a program on the control plane',
  tokenFile: 'would read a file of the control plane',
  'client-certificate': 'would read a file of the control plane',
  'client-key': 'would read a file of the control plane',
  username: 'is a password log-in, which Kubernetes has no more',
  password: 'is a password log-in, which Kubernetes has no more',
  as: 'would act as somebody else',
  'as-uid': 'would act as somebody else',
  'as-groups': 'would act as somebody else',
  'as-user-extra': 'would act as somebody else',
};

/** Reads the current context. Faults are all that can be told at once; none holds any credential. Never throws. */
export function parseRemoteKubeconfig(text: string): ParsedKubeconfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const line = syntax.linePos?.[0].line;
    const cure = 'indent it as YAML; a shell’s here-document loses nothing, a copy from a page may';
    const fault = { field: '', message: `it is no YAML: ${syntax.code.toLowerCase().replaceAll('_', ' ')}`, cure };
    return { faults: [{ ...fault, ...(line === undefined ? {} : { line }) }] };
  }
  if (!isMap(document.contents)) {
    return { faults: [{ field: '', message: 'it is no kubeconfig: not a YAML mapping', cure: REMAKE }] };
  }
  let content: Fields;
  try {
    content = document.toJS() as Fields;
  } catch {
    return { faults: [{ field: '', message: 'it is no kubeconfig: its YAML aliases lead nowhere', cure: REMAKE }] };
  }
  const lineOf = (field: string): number | undefined => {
    const path = field.split(/[.[\]]+/).filter((step) => step !== '');
    // A member that is missing is told at the nearest one around it.
    for (let length = path.length; length > 0; length--) {
      const steps = path.slice(0, length).map((step) => (/^\d+$/.test(step) ? Number(step) : step));
      const node = document.getIn(steps, true) as Node | undefined;
      if (node?.range) return lines.linePos(node.range[0]).line;
    }
    return undefined;
  };
  return new Reader(content, lineOf).read();
}

const REMAKE = 'make the file anew, with clusters, users, contexts and current-context';

class Reader {
  readonly #content: Fields;
  readonly #lineOf: (field: string) => number | undefined;
  readonly #faults: KubeconfigFault[] = [];

  constructor(content: Fields, lineOf: (field: string) => number | undefined) {
    this.#content = content;
    this.#lineOf = lineOf;
  }

  read(): ParsedKubeconfig {
    const chosen = this.#context();
    const cluster = chosen && this.#entry('clusters', 'cluster', chosen.fields['cluster'], `${chosen.at}.cluster`);
    const user = chosen && this.#entry('users', 'user', chosen.fields['user'], `${chosen.at}.user`);
    const config = { ...(cluster && this.#cluster(cluster)), ...(user && this.#user(user)) };
    return this.#faults.length > 0 ? { faults: this.#faults } : { config: config as ClientConfig };
  }

  #context(): { fields: Fields; at: string } | undefined {
    const { contexts } = this.#content;
    const current = this.#content['current-context'];
    if (isText(current)) return this.#entry('contexts', 'context', current, 'current-context');
    if (!Array.isArray(contexts) || contexts.length !== 1) {
      this.#fault('current-context', 'is missing', 'name the context to use');
      return undefined;
    }
    return this.#entry('contexts', 'context', (contexts[0] as Fields | null)?.['name'], 'contexts[0].name');
  }

  /** The entry of a list by its name; `from` is the field that names it. */
  #entry(list: string, member: string, name: unknown, from: string): { fields: Fields; at: string } | undefined {
    if (!isText(name)) {
      this.#fault(from, 'is missing', `name one of ${list}`);
      return undefined;
    }
    const entries = this.#content[list];
    const all: unknown[] = Array.isArray(entries) ? entries : [];
    const index = all.findIndex((entry) => isFields(entry) && entry['name'] === name);
    const fields = (all[index] as Fields | undefined)?.[member];
    if (isFields(fields)) return { fields, at: `${list}[${index}].${member}` };
    if (index >= 0) this.#fault(`${list}[${index}].${member}`, 'is missing or empty', REMAKE);
    else this.#fault(from, `names "${name}", which ${list} does not have`, `add it to ${list}, or name another`);
    return undefined;
  }

  #cluster({ fields, at }: { fields: Fields; at: string }): Partial<ClientConfig> {
    if (fields['insecure-skip-tls-verify'] === true) {
      const message = 'would give the token to anybody who answers at the address';
      this.#fault(`${at}.insecure-skip-tls-verify`, message, 'remove it, and give certificate-authority-data');
    }
    if (fields['certificate-authority'] !== undefined) {
      const cure = 'give the certificate itself, in base64, as certificate-authority-data';
      this.#fault(`${at}.certificate-authority`, 'would read a file of the control plane', cure);
    }
    const server = this.#server(fields['server'], `${at}.server`);
    const isElsewhere =
      fields['certificate-authority'] !== undefined && fields['certificate-authority-data'] === undefined;
    const caPem = isElsewhere
      ? undefined
      : this.#certificate(fields, 'certificate-authority-data', at, 'a certificate of the API server’s CA');
    const serverName = fields['tls-server-name'];
    const proxyUrl = fields['proxy-url'];
    if (proxyUrl !== undefined && !(isText(proxyUrl) && isUrl(proxyUrl, 'http:'))) {
      this.#fault(`${at}.proxy-url`, 'is not http://HOST:PORT', 'give such a proxy, or none');
    }
    return {
      ...(server !== undefined && { server }),
      ...(caPem !== undefined && { caPem }),
      ...(isText(serverName) && { tlsServerName: serverName }),
      ...(isText(proxyUrl) && { proxyUrl }),
    };
  }

  #server(server: unknown, field: string): string | undefined {
    const cure = 'give the API server’s address as the control plane can reach it, https://HOST:PORT';
    if (!isText(server)) this.#fault(field, 'is missing', cure);
    else if (!isUrl(server, 'https:')) {
      const isPlain = isUrl(server, 'http:');
      this.#fault(field, isPlain ? 'is http: the token would go in plain text' : 'is no https URL', cure);
    } else if (new URL(server).username !== '' || new URL(server).password !== '') {
      this.#fault(field, 'holds a password', cure);
    } else return server.replace(/\/+$/, '');
    return undefined;
  }

  #user({ fields, at }: { fields: Fields; at: string }): Partial<ClientConfig> {
    const before = this.#faults.length;
    for (const [member, why] of Object.entries(REFUSED_USER)) {
      if (fields[member] !== undefined) this.#fault(`${at}.${member}`, why, TOKEN_CURE);
    }
    const { token } = fields;
    const hasToken = token !== undefined;
    if (hasToken && !(isText(token) && /^[\x21-\x7e]+$/.test(token))) {
      this.#fault(`${at}.token`, isText(token) ? 'is no token: it has blanks in it' : 'is empty', TOKEN_CURE);
    }
    const hasCertificate = ['client-certificate-data', 'client-key-data'].some((name) => fields[name] !== undefined);
    const certificate = hasCertificate ? this.#clientCertificate(fields, at) : {};
    if (this.#faults.length === before && !hasToken && !hasCertificate) {
      this.#fault(at, 'has no credential', TOKEN_CURE);
    }
    return { ...(isText(token) && { token: () => token }), ...certificate };
  }

  #clientCertificate(fields: Fields, at: string): Partial<ClientConfig> {
    const clientCertPem = this.#certificate(fields, 'client-certificate-data', at, 'a client certificate');
    const clientKeyPem = this.#base64(fields, 'client-key-data', at, 'the key of the client certificate');
    if (clientCertPem === undefined || clientKeyPem === undefined) return {};
    try {
      const key = createPrivateKey(clientKeyPem);
      if (!new X509Certificate(clientCertPem).checkPrivateKey(key)) {
        this.#fault(
          `${at}.client-key-data`,
          'is not the key of client-certificate-data',
          'give the two that belong together',
        );
      }
    } catch {
      this.#fault(`${at}.client-key-data`, 'is no private key', 'give the PEM file, in base64');
    }
    return { clientCertPem, clientKeyPem };
  }

  #certificate(fields: Fields, member: string, at: string, what: string): string | undefined {
    const pem = this.#base64(fields, member, at, what);
    if (pem === undefined) return undefined;
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
    try {
      if (blocks.length === 0) throw new Error('none');
      for (const block of blocks) new X509Certificate(block);
      return pem;
    } catch {
      this.#fault(`${at}.${member}`, 'is no certificate', `give ${what}: its PEM file, in base64`);
      return undefined;
    }
  }

  #base64(fields: Fields, member: string, at: string, what: string): string | undefined {
    const data = fields[member];
    const compact = isText(data) ? data.replaceAll(/\s/g, '') : '';
    if (compact === '') {
      this.#fault(
        `${at}.${member}`,
        data === undefined ? 'is missing' : 'is empty',
        `give ${what}: its PEM file, in base64`,
      );
      return undefined;
    }
    if (/^[A-Za-z0-9+/]+={0,2}$/.test(compact)) return Buffer.from(compact, 'base64').toString('utf8');
    this.#fault(`${at}.${member}`, 'is not base64', `give ${what}: its PEM file, in base64`);
    return undefined;
  }

  #fault(field: string, message: string, cure: string): void {
    const line = this.#lineOf(field);
    this.#faults.push({ field, message, cure, ...(line === undefined ? {} : { line }) });
  }
}

function isUrl(text: string, protocol: string): boolean {
  return URL.canParse(text) && new URL(text).protocol === protocol && new URL(text).hostname !== '';
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
