// SPDX-License-Identifier: Apache-2.0
// calls.yaml: what requests do, in lines that a person has written and read.
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { DecodedState } from '../../src/envoy/simulate/decoded-state.ts';
import { type Call, type Outcome, simulate } from '../../src/envoy/simulate/simulate.ts';
import { addressesOf } from '../../src/model/view.ts';
import { SCENARIOS } from './goldens.ts';
import type { ScenarioProxy } from './scenario.ts';

export interface CallCase {
  readonly name: string;
  /** A proxy of the scenario. */
  readonly from: string;
  /** `outbound` by default for sidecars, `gateway` for gateways. */
  readonly direction?: 'outbound' | 'inbound' | 'gateway';
  /** `GET http://reviews:9080/reviews/0`, or `tcp 10.96.3.4:6379`. */
  readonly call: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The address that the client dials, where it is not what its DNS says of the host. */
  readonly dial?: string;
  /** Server name of the client's TLS. */
  readonly sni?: string;
  /** It presents a certificate of a CA that the server trusts. */
  readonly certificate?: boolean;
  readonly alpn?: readonly string[];
  /** Filters of a user's that let it pass as it is, which whoever wrote them knows. */
  readonly passes?: readonly string[];
  readonly expect: string | readonly string[];
  /** The rule that decides, `NAMESPACE/NAME FIELD`. */
  readonly rule?: string;
  /** What the server is asked in the end, `GET HOST PATH`: this and what follows is checked on a real Envoy. */
  readonly upstream?: string;
  /** What every server answers, if not 200: another status, or `reset`. */
  readonly server?: string;
  /** How often servers are asked. */
  readonly tries?: number;
  /** How long the server is told that it has; 0: nothing is said. */
  readonly timeoutMs?: number;
  /** The answer takes no less. */
  readonly delayMs?: number;
  /** Headers that the server gets; null: it does not. */
  readonly sent?: Readonly<Record<string, string | null>>;
  /** Headers of the answer. */
  readonly answered?: Readonly<Record<string, string | null>>;
  readonly body?: string;
  /** Endpoints that do not serve (`10.1.0.7:8080`), of which `expect` knows nothing, and those that do in their place: all of them. */
  readonly down?: readonly string[];
  readonly instead?: readonly string[];
  /** Cluster -> percentage of the requests that are copied to it. */
  readonly copied?: Readonly<Record<string, number>>;
}

/** Of a case, without a file: none. */
export function readCalls(name: string): readonly CallCase[] {
  const file = join(SCENARIOS, name, 'calls.yaml');
  return existsSync(file) ? (parse(readFileSync(file, 'utf8')) as CallCase[]) : [];
}

export function runCall(call: CallCase, from: ScenarioProxy): { lines: string[]; rule: string | undefined } {
  const outcome = passed(simulate(DecodedState.of(from.compiled), readCall(call, from)), call);
  const [, namespace, name] = /namespaces\/(.+)\/virtual-service\/(.+)$/.exec(outcome.rule?.config ?? '') ?? [];
  return { lines: describe(outcome), rule: outcome.rule && `${namespace}/${name} ${outcome.rule.field}` };
}

export function passed(outcome: Outcome, { passes = [] }: CallCase): Outcome {
  return outcome.kind === 'unknown' && outcome.filters.every((name) => passes.includes(name))
    ? outcome.otherwise
    : outcome;
}

function given(certificate: boolean | undefined): { certificate?: boolean } {
  return certificate === undefined ? {} : { certificate };
}

export function readCall(call: CallCase, from: ScenarioProxy): Call {
  const tls =
    call.sni === undefined ? {} : { tls: { serverName: call.sni, alpn: call.alpn ?? [], ...given(call.certificate) } };
  const direction = call.direction ?? (from.proxy.kind === 'gateway' ? 'gateway' : 'outbound');
  const [method, target] = call.call.split(' ') as [string, string];
  if (method === 'tcp') {
    const [, address = '', port] = /^(.*):(\d+)$/.exec(target) ?? [];
    return { direction, connection: { address, port: Number(port), ...tls } };
  }
  const url = new URL(target);
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const authority = /^\w+:\/\/([^/?]+)/.exec(target)![1]!;
  const address = call.dial ?? resolve(url.hostname, from);
  const headers = Object.fromEntries(Object.entries(call.headers ?? {}).map(([k, v]) => [k.toLowerCase(), v]));
  const path = target.slice(target.indexOf(authority) + authority.length) || '/';
  const request = { method, scheme: url.protocol.slice(0, -1), authority, path, headers };
  return { direction, connection: { address, port, ...tls }, request };
}

/** The pod's DNS: the service of that name, looked for along the search path; a stranger is somewhere in the world. */
function resolve(host: string, { snapshot, proxy }: ScenarioProxy): string {
  if (isIP(host) !== 0) return host;
  const search = [
    `${proxy.namespace}.svc.cluster.local`,
    'svc.cluster.local',
    'cluster.local',
    'global',
    `${proxy.namespace}.global`,
  ];
  for (const name of [host, ...search.map((suffix) => `${host}.${suffix}`)]) {
    for (const service of snapshot.index.services.values()) {
      const [address] = addressesOf(service, proxy.cluster);
      if (service.hostname === name && address !== undefined) return address;
    }
  }
  return '203.0.113.1';
}

/** Shares of localities are in percent, whatever the units that they are written in. */
function shareOf(weight: number, sum: number): string {
  return sum > 1_000_000 ? ` for ${Math.round((weight / sum) * 1000) / 10}%` : ` for ${weight} of ${sum}`;
}

function describe(outcome: Outcome): string[] {
  switch (outcome.kind) {
    case 'refuse':
      return [`refused: ${outcome.why}`];
    case 'unknown':
      return [`unknown: ${outcome.why}`];
    case 'respond':
      return [String(outcome.status)];
    case 'redirect':
      return [`${outcome.status} ${outcome.location}`];
    case 'forward':
      return outcome.to.map(({ cluster, probability, upstream }) => {
        const share = `${Math.round(probability * 1000) / 10}% ${cluster}`;
        if (upstream === undefined) return `${share}: no such cluster`;
        if (upstream.byName) return `${share} at the name that it is for`;
        if (upstream.original) return `${share} where it was going`;
        if (upstream.endpoints.length === 0) return `${share}: no endpoints`;
        const sum = upstream.endpoints.reduce((total, e) => total + e.weight, 0);
        const even = upstream.endpoints.every((e) => e.weight === upstream.endpoints[0]!.weight);
        const ends = upstream.endpoints.map(({ address, weight, tls }) => {
          return `${address}${even ? '' : shareOf(weight, sum)}${tls ? ` by TLS as ${tls.serverName}` : ''}`;
        });
        return `${share} at ${[...new Set(ends)].join(', ')}`;
      });
  }
}
