// SPDX-License-Identifier: Apache-2.0
// The scalar values that several kinds share.
import { isIP } from 'node:net';
import { parseCidr } from './cidr.ts';
import { type Hostname, hostname } from './names.ts';
import { faultOfRegex } from './regex.ts';
import {
  type At,
  checked,
  defaulted,
  integer,
  list,
  mapOf,
  optional,
  required,
  type Shape,
  struct,
  text,
  turned,
} from './shape.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };

/** A Go duration (`1.5s`, `1h30m`, `500ms`) in milliseconds, fractions kept; undefined when it is none. */
export function parseDuration(raw: string): number | undefined {
  if (raw === '0') return 0;
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(raw)) return undefined;
  let total = 0;
  for (const [, amount, unit] of raw.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * UNIT_MS[unit!]!;
  }
  return total;
}

/** Milliseconds. Envoy counts time-outs in whole milliseconds, so what is shorter (but for 0) is refused. */
export function durationMs(options: { zero?: boolean } = {}): Shape<number> {
  return turned(text(), (raw, at) => {
    const ms = parseDuration(raw);
    if (ms !== undefined && (ms >= 1 || (ms === 0 && options.zero === true)) && ms < 3.6e6 * 24 * 365) return ms;
    const cure = `write it as 10s, 1m30s or 500ms, ${options.zero ? '0s or ' : ''}at least 1ms`;
    at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is not a duration that can be used`, cure);
    return undefined;
  });
}

const LABEL = '[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^(\\*|(\\*\\.)?${LABEL}(\\.${LABEL})*\\.?)$`, 'i');
/** `reviews`, `reviews.default.svc.cluster.local`, `*.example.com`, `*`: as written, not yet qualified. */
export const hostPattern: Shape<string> = turned(text(), (raw, at) => {
  if (raw.length <= 253 && (HOST.test(raw) || isIP(raw) !== 0)) return raw.toLowerCase();
  at.report.add(
    'ISM0006',
    at.field,
    `${JSON.stringify(raw)} is not a host`,
    'write a DNS name; a wildcard may stand for the first labels only, as in *.example.com',
  );
  return undefined;
});

/** A fully qualified host or wildcard, as ServiceEntries have them. */
export const fullHost: Shape<Hostname> = turned(hostPattern, (raw) => hostname(raw));

export const portNumber: Shape<number> = integer({ min: 1, max: 65535 });
/** A DNS label, as subset names and port names are. */
export const dnsLabel: Shape<string> = text({
  pattern: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/i,
  what: 'a name of letters, digits and dashes',
});
const labelName = text({
  pattern: /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$/i,
  what: 'the name of a label',
});
const labelValue = text({
  pattern: /^([a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?)?$/i,
  what: 'the value of a label: at most 63 letters, digits, dashes, dots and underscores',
});
export const labels: Shape<Readonly<Record<string, string>>> = mapOf(labelValue, labelName);

/** Namespaces that see an object: `*` all, `.` its own, `~` none, or a name. */
export const exportScopes: Shape<readonly string[]> = list(
  text({ pattern: /^([*.~]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/, what: '*, . , ~ or a namespace' }),
);
/** Empty: the object leaves it to MeshConfig. */
export const exportTo = defaulted(exportScopes, []);
/** Istio's rules for a whole list. `namespace` is the object's own; `forNobody`: a ServiceEntry may be for nobody. */
export function checkExportTo(
  scopes: readonly string[],
  namespace: string,
  at: At,
  options: { forNobody?: boolean } = {},
): void {
  const named = scopes.map((scope) => (scope === '.' ? namespace : scope));
  const twice = named.findIndex((scope, i) => named.indexOf(scope) !== i);
  if (twice >= 0) {
    const message = `${scopes[twice]} is there already`;
    at.report.add('ISM0009', `${at.field}[${twice}]`, message, 'name each namespace once; . is its own');
  }
  if (named.includes('*') && named.length > 1) {
    at.report.add('ISM0007', at.field, '* is every namespace', 'keep *, or the others');
  }
  if (!named.includes('~')) return;
  if (options.forNobody !== true) {
    at.report.add('ISM0006', at.field, 'a rule that nobody sees does nothing', 'use . for its own namespace');
  } else if (named.length > 1) at.report.add('ISM0007', at.field, '~ is nobody', 'keep ~, or the others');
}

export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

/** An RE2 expression that Envoy will take: one bad expression would make it refuse a whole route table. */
export const regex: Shape<string> = checked(text(), (raw, at) => {
  const fault = faultOfRegex(raw);
  if (fault !== undefined) {
    at.report.add(
      'ISM0006',
      at.field,
      `${JSON.stringify(raw)} is not an RE2 expression: ${fault}`,
      'see re2/wiki/Syntax',
    );
  }
});

export const stringMatch: Shape<StringMatch> = turned(
  struct({ exact: optional(text()), prefix: optional(text()), regex: optional(regex) }),
  (raw, at) => {
    const kinds = (['exact', 'prefix', 'regex'] as const).filter((k) => raw[k] !== undefined);
    const [kind] = kinds;
    if (kinds.length === 1 && kind !== undefined) {
      const value = raw[kind]!;
      if (value !== '' || kind === 'exact') return { kind, value };
      at.report.add('ISM0006', `${at.field}.${kind}`, 'it is empty', `give ${kind} a text, or leave the match out`);
      return undefined;
    }
    const message = kinds.length === 0 ? 'it matches nothing' : `${kinds.join(' and ')} exclude one another`;
    at.report.add('ISM0007', at.field, message, 'give one of exact, prefix, regex');
    return undefined;
  },
);

/** A gateway as rules name it; `mesh` is all sidecars. */
export const gatewayName: Shape<string> = text({
  pattern: /^([-a-z0-9]+\/)?[-a-z0-9.]+$/,
  what: 'mesh, NAME or NAMESPACE/NAME',
});

/** An IP address or a CIDR block, as a block. */
export const subnet: Shape<string> = turned(text(), (raw, at) => {
  const family = isIP(raw);
  const block = family === 0 ? raw : `${raw}/${family === 4 ? 32 : 128}`;
  if (parseCidr(block) !== undefined) return block;
  const message = `${JSON.stringify(raw)} is neither an address nor a block of them`;
  at.report.add('ISM0006', at.field, message, 'write it as 10.1.0.0/16 or 10.1.0.7');
  return undefined;
});

export const portSelector = struct({ number: required(portNumber) });
/** 0 to 100. */
export const percent = struct({ value: defaulted(turnedPercent(), 0) });

function turnedPercent(): Shape<number> {
  return {
    schema: { type: 'number' },
    decode(raw, at) {
      // Envoy counts in millionths.
      if (typeof raw === 'number' && (raw === 0 || raw >= 0.0001) && raw <= 100) return raw;
      const message = `${JSON.stringify(raw)} is not a percentage that can be obeyed`;
      at.report.add('ISM0006', at.field, message, 'use 0, or a number from 0.0001 to 100');
      return undefined;
    },
  };
}

export const headerName: Shape<string> = text({
  pattern: /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/,
  what: 'a header name',
});
/** Anything that can stand in a header. */
export const headerText: Shape<string> = text({
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that may not be there
  pattern: /^[^\x00-\x08\x0a-\x1f\x7f]*$/,
  what: 'text without control characters',
});
