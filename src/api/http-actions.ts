// SPDX-License-Identifier: Apache-2.0
// What a route answers by itself, and what it changes of a request that it passes on.
import { destination } from './destination.ts';
import { groupCount } from './regex.ts';
import {
  type At,
  checked,
  choice,
  defaulted,
  type Infer,
  integer,
  optional,
  required,
  type Shape,
  struct,
  text,
} from './shape.ts';
import { headerText, percent, regex } from './values.ts';

export const redirect = checked(
  struct({
    uri: optional(headerText),
    prefixRewrite: optional(headerText),
    authority: optional(headerText),
    scheme: optional(text({ pattern: /^https?$/, what: 'http or https' })),
    port: optional(integer({ min: 1, max: 65535 })),
    derivePort: optional(choice(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'])),
    redirectCode: defaulted(integer({ min: 301, max: 308 }), 301),
  }),
  (value, at) => {
    const { uri, prefixRewrite, authority, scheme, port, derivePort, redirectCode } = value;
    exclude({ uri, prefixRewrite }, at);
    exclude({ port, derivePort }, at);
    if ([uri, prefixRewrite, authority, scheme].every((v) => (v ?? '') === '') && (port ?? derivePort) === undefined) {
      const cure = 'add uri, prefixRewrite, authority, scheme or port';
      at.report.add('ISM0001', at.field, 'it leads where the request was going anyway', cure);
    }
    if (![301, 302, 303, 307, 308].includes(redirectCode)) {
      const cure = 'use 301, 302, 303, 307 or 308';
      at.report.add('ISM0006', `${at.field}.redirectCode`, `${redirectCode} is no redirect`, cure);
    }
  },
);
export type Redirect = Infer<typeof redirect>;

/** Proxies hold no larger body. */
const MAX_BODY_BYTES = 1 << 20;
const LARGE_BODY_BYTES = 100 << 10;

const base64: Shape<string> = checked(text(), (value, at) => {
  if (value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) return;
  at.report.add('ISM0006', at.field, 'it is not base64', 'encode the bytes by base64, or write the text as `string`');
});

export const directResponse = checked(
  struct({
    status: required(integer({ min: 200, max: 599 })),
    body: optional(struct({ string: optional(text()), bytes: optional(base64) })),
  }),
  ({ body }, at) => {
    if (body === undefined) return;
    exclude(body, { ...at, field: `${at.field}.body` });
    const size = body.string === undefined ? ((body.bytes?.length ?? 0) * 3) / 4 : Buffer.byteLength(body.string);
    const field = `${at.field}.body`;
    if (size > MAX_BODY_BYTES) {
      at.report.add('ISM0006', field, `it has ${size} bytes`, `use at most ${MAX_BODY_BYTES}`);
    } else if (size > LARGE_BODY_BYTES) {
      const message = `every proxy that knows the route holds its ${size} bytes`;
      at.report.add('ISM0006', field, message, 'serve a large body by a service', 'warning');
    }
  },
);

export type DirectResponse = Infer<typeof directResponse>;

export const rewrite = checked(
  struct({
    uri: optional(headerText),
    authority: optional(headerText),
    uriRegexRewrite: optional(
      struct({ match: required(checked(regex, notEmpty)), rewrite: required(checked(text(), notEmpty)) }),
    ),
  }),
  (value, at) => {
    const { uri, authority, uriRegexRewrite } = value;
    exclude({ uri, uriRegexRewrite }, at);
    if ((uri ?? '') === '' && (authority ?? '') === '' && uriRegexRewrite === undefined) {
      at.report.add('ISM0001', at.field, 'it changes nothing', 'add uri, uriRegexRewrite or authority');
    }
    const { match = '', rewrite: substitution = '' } = uriRegexRewrite ?? {};
    const highest = Math.max(0, ...[...substitution.matchAll(/\\(\d)/g)].map(([, n]) => Number(n)));
    if (highest > groupCount(match)) {
      const message = `\\${highest} stands for a group that ${JSON.stringify(match)} does not have`;
      at.report.add('ISM0006', `${at.field}.uriRegexRewrite.rewrite`, message, `use \\0 to \\${groupCount(match)}`);
    }
  },
);

export const mirror = struct({ destination: required(destination), percentage: optional(percent) });

function notEmpty(value: string, at: At): void {
  if (value === '') at.report.add('ISM0001', at.field, 'it is empty', `give ${at.field} a text`);
}

/** Of these members one at most may be given. */
export function exclude(members: Readonly<Record<string, unknown>>, at: At): void {
  const given = Object.keys(members).filter((name) => members[name] !== undefined);
  if (given.length < 2) return;
  at.report.add('ISM0007', at.field, `${given.join(' and ')} exclude one another`, 'keep one of them');
}
