// SPDX-License-Identifier: Apache-2.0
// The part of nginx's configuration that people give a server to try TLS with: `server` blocks with `listen` and `ssl_*`.
// https://nginx.org/en/docs/http/ngx_http_ssl_module.html

export interface NginxServer {
  readonly port: number;
  readonly isTls: boolean;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
  /** Of `ssl_verify_client`: `on` lets nobody in without a certificate. */
  readonly verifiesClient: boolean;
  /** Status and text of `return`, wherever it stands in the server; nginx's own page without one. */
  readonly answer: { readonly status: number; readonly text: string } | undefined;
}

const DEFAULT_PORT = 80;

/** One a `listen`; what else is said there is not for a stand-in, and left out. Throws an Error at what is no configuration. */
export function parseNginxConf(text: string): NginxServer[] {
  const words = [...text.replace(/#.*$/gm, '').matchAll(/'[^']*'|"[^"]*"|[{};]|[^\s{};'"]+/g)].map(([word]) => word);
  const servers: NginxServer[] = [];
  const blocks: { name: string; directives: string[][] }[] = [];
  let directive: string[] = [];
  for (const word of words) {
    if (word === ';') {
      if (directive.length > 0) blocks.findLast(({ name }) => name === 'server')?.directives.push(directive);
      directive = [];
    } else if (word === '{') {
      blocks.push({ name: directive[0] ?? '', directives: [] });
      directive = [];
    } else if (word === '}') {
      const block = blocks.pop();
      if (block === undefined) throw new Error('a } without its {');
      if (block.name === 'server') servers.push(...serversOf(block.directives));
    } else directive.push(word.replace(/^(['"])(.*)\1$/s, '$2'));
  }
  const [open] = blocks;
  if (open !== undefined) throw new Error(`${open.name} { without its }`);
  return servers;
}

function serversOf(directives: readonly string[][]): NginxServer[] {
  const find = (name: string): string[] | undefined => directives.find(([first]) => first === name)?.slice(1);
  const answer = find('return');
  const common = {
    certificate: find('ssl_certificate')?.[0],
    key: find('ssl_certificate_key')?.[0],
    clientCa: find('ssl_client_certificate')?.[0],
    verifiesClient: find('ssl_verify_client')?.[0] === 'on',
    answer: answer && { status: Number(answer[0]) || 200, text: answer[1] ?? '' },
  };
  const listens = directives.filter(([name]) => name === 'listen').map(([, ...words]) => words);
  return (listens.length > 0 ? listens : [[String(DEFAULT_PORT)]]).map(([address = '', ...options]) => ({
    ...common,
    port: Number(address.split(':').at(-1)) || DEFAULT_PORT,
    isTls: options.includes('ssl'),
  }));
}
