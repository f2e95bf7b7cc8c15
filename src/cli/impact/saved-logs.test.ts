// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { Logger } from './callers.ts';
import { readerOf } from './log-format.ts';
import { whoseLines } from './saved-logs.ts';

const logger = (pod: string, workload: string, address: string): Logger =>
  ({
    ...{ pod, namespace: 'default', addresses: new Set([address]), reader: readerOf(undefined), filter: undefined },
    caller: { key: pod, cluster: 'c1', namespace: 'default', workload, isGateway: false },
  }) as unknown as Logger;

const LOGGERS = [
  logger('web-v1-7dfb499dcc-x964c', 'web-v1', '10.1.0.7'),
  logger('shop-v1-585b4b7596-86wrm', 'shop-v1', '10.1.0.8'),
];

const line = (remote: string, local: string): string =>
  '[2026-01-02T03:04:05.678Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 377 5 4 "-" "curl" "6f" "shop" ' +
  `"10.1.0.11:9080" outbound|80||shop.default.svc.cluster.local 10.1.0.7:46210 ${local} ${remote} - - - - - - "-"`;
const OUT = line('10.1.0.7:35122', '10.96.3.4:9080');

const whose = (from: string | undefined, written: string) => {
  const { logger: found, line: rest } = whoseLines(LOGGERS, from)(written);
  return [found?.caller.workload, rest];
};

test('by the prefix that kubectl writes, also of a pod that is gone', () => {
  expect(whose(undefined, `[pod/shop-v1-585b4b7596-86wrm/istio-proxy] ${OUT}`)).toEqual(['shop-v1', OUT]);
  expect(whose(undefined, `[pod/shop-v1-66c89f8bfb-9dkww/istio-proxy] ${OUT}`)).toEqual(['shop-v1', OUT]);
  expect(whose(undefined, `[pod/another-66c89f8bfb-9dkww/istio-proxy] ${OUT}`)).toEqual([undefined, OUT]);
});

test('by the name that is given, else by the address of who asks, or is asked', () => {
  expect(whose('shop-v1.default', OUT)).toEqual(['shop-v1', OUT]);
  expect(whose(undefined, OUT)).toEqual(['web-v1', OUT]);
  expect(whose(undefined, line('192.0.2.1:0', '10.1.0.8:9080'))[0]).toBe('shop-v1');
  expect(whose(undefined, line('192.0.2.1:0', '192.0.2.2:9080'))[0]).toBeUndefined();
  expect(() => whoseLines(LOGGERS, 'nobody')).toThrow(/no such pod or workload.*shop-v1, web-v1/);
});
