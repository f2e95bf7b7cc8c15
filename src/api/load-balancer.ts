// SPDX-License-Identifier: Apache-2.0
// LoadBalancerSettings: which endpoint a request goes to
// (https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings).
import { localityLbSetting } from './locality.ts';
import {
  type At,
  bool,
  checked,
  decimal,
  defaulted,
  type Infer,
  integer,
  list,
  optional,
  refused,
  required,
  struct,
  supportedChoice,
  text,
} from './shape.ts';
import { durationMs, headerName } from './values.ts';

const token = text({ pattern: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, what: 'a name that a cookie can have' });

const httpCookie = checked(
  struct({
    name: required(token),
    path: defaulted(text({ pattern: /^[ -:<-~]*$/, what: 'a path' }), ''),
    ttl: optional(durationMs({ zero: true })),
    attributes: defaulted(
      list(
        struct({
          name: required(token),
          value: defaulted(text({ pattern: /^[ -:<-~]*$/, what: 'a value' }), ''),
        }),
      ),
      [],
    ),
  }),
  (value, at) => {
    const names = value.attributes.map(({ name }) => name);
    names.forEach((name, i) => {
      if (names.indexOf(name) === i) return;
      const field = `${at.field}.attributes[${i}]`;
      at.report.add('ISM0009', field, `the attribute ${name} is there already`, 'name each attribute once');
    });
  },
);

/** Envoy's limits. */
const MAX_RING_SIZE = 8_388_608;
const MAX_TABLE_SIZE = 5_000_010;

const consistentHash = checked(
  struct({
    httpHeaderName: optional(headerName),
    httpCookie: optional(httpCookie),
    useSourceIp: optional(bool),
    httpQueryParameterName: optional(text()),
    ringHash: optional(struct({ minimumRingSize: defaulted(integer({ max: MAX_RING_SIZE }), 0) })),
    maglev: optional(struct({ tableSize: required(integer({ min: 1, max: MAX_TABLE_SIZE })) })),
    minimumRingSize: defaulted(integer({ max: MAX_RING_SIZE }), 0),
  }),
  (value, at) => {
    const keys = (['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'] as const).filter(
      (key) => value[key] !== undefined,
    );
    if (keys.length > 1) {
      at.report.add('ISM0007', at.field, `${keys.join(' and ')} exclude one another`, 'keep one of them');
    } else if (keys.length === 0) {
      const cure = 'say what to hash: httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName';
      at.report.add('ISM0005', at.field, 'without something to hash, endpoints are chosen at random', cure);
    }
    checkAlgorithm(value, at);
  },
);
export type ConsistentHash = Infer<typeof consistentHash>;

function checkAlgorithm({ ringHash, maglev, minimumRingSize }: ConsistentHash, at: At): void {
  if (ringHash !== undefined && maglev !== undefined) {
    at.report.add('ISM0007', at.field, 'ringHash and maglev exclude one another', 'keep one of them');
  }
  if (minimumRingSize > 0 && (ringHash !== undefined || maglev !== undefined)) {
    const cure = 'give the size by ringHash.minimumRingSize';
    at.report.add('ISM0007', at.field, 'minimumRingSize excludes ringHash and maglev', cure);
  }
  if (maglev !== undefined && !isPrime(maglev.tableSize)) {
    const cure = 'use a prime number, such as 65537';
    at.report.add('ISM0006', `${at.field}.maglev.tableSize`, `${maglev.tableSize} is not a prime number`, cure);
  }
}

function isPrime(n: number): boolean {
  if (n < 4) return true;
  if (n % 2 === 0) return false;
  for (let factor = 3; factor * factor <= n; factor += 2) if (n % factor === 0) return false;
  return true;
}

const warmup = struct({
  duration: required(durationMs()),
  minimumPercent: optional(decimal({ min: 0, max: 100 })),
  aggression: optional(decimal({ min: Number.MIN_VALUE, max: 1_000_000 })),
});

export const loadBalancer = checked(
  struct({
    simple: optional(
      supportedChoice(['ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'UNSPECIFIED'], {}),
    ),
    consistentHash: optional(consistentHash),
    localityLbSetting: optional(localityLbSetting),
    backendUtilization: refused('use LEAST_REQUEST, which goes by the requests under way'),
    zoneAwareLbSetting: refused('use localityLbSetting, which prefers the nearest endpoints too'),
    warmupDurationSecs: optional(durationMs()),
    warmup: optional(warmup),
  }),
  (value, at) => {
    if (value.simple !== undefined && value.consistentHash !== undefined) {
      at.report.add('ISM0007', at.field, 'simple and consistentHash exclude one another', 'keep one of them');
    }
    const warmed = value.warmup !== undefined || value.warmupDurationSecs !== undefined;
    const cold = value.consistentHash !== undefined || value.simple === 'RANDOM' || value.simple === 'PASSTHROUGH';
    if (warmed && cold) {
      const cure = 'use ROUND_ROBIN or LEAST_REQUEST, or remove it';
      at.report.add('ISM0005', at.field, 'warm-up has no effect with this kind of balancing', cure);
    }
  },
);
export type LoadBalancer = Infer<typeof loadBalancer>;
