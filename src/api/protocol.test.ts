// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { servicePortProtocol } from './protocol.ts';
import { parseDuration } from './values.ts';

test.each([
  ['http', undefined, 'http'],
  ['http-web', undefined, 'http'],
  ['http2-x', undefined, 'http2'],
  ['grpc', undefined, 'http2'],
  ['grpc-web', undefined, 'http'],
  ['grpc-web-x', undefined, 'http'],
  ['https', undefined, 'tls'],
  ['tls', undefined, 'tls'],
  ['mongo-x', undefined, 'tcp'],
  ['web', undefined, 'tcp'],
  ['', undefined, 'tcp'],
  ['tcp-http', undefined, 'tcp'],
  ['web', 'http', 'http'],
  ['http', 'kubernetes.io/h2c', 'http2'],
  ['http', 'unheard-of', 'http'],
])('port %s with appProtocol %s speaks %s', (name, appProtocol, expected) => {
  expect(servicePortProtocol({ name, protocol: 'TCP', appProtocol })).toBe(expected);
});

test('UDP is UDP whatever its name', () => {
  expect(servicePortProtocol({ name: 'http', protocol: 'UDP', appProtocol: undefined })).toBe('udp');
});

test.each([
  ['10s', 10_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1500],
  ['500ms', 500],
  ['0', 0],
  ['-1s', undefined],
  ['5', undefined],
  ['', undefined],
])('duration %s is %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});
