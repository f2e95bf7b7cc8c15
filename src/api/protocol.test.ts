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
  ['web', undefined, 'auto'],
  ['', undefined, 'auto'],
  ['tcp-http', undefined, 'tcp'],
  ['web', 'http', 'http'],
  ['http', 'kubernetes.io/h2c', 'http2'],
  ['http', 'unheard-of', 'auto'],
  ['x', 'kubernetes.io/wss', 'tls'],
])('port %s with appProtocol %s speaks %s', (name, appProtocol, expected) => {
  expect(servicePortProtocol({ name, number: 8080, protocol: 'TCP', appProtocol })).toBe(expected);
});

test.each(['UDP', 'SCTP'])('%s is no business of the mesh whatever its name', (protocol) => {
  expect(servicePortProtocol({ name: 'http', number: 80, protocol, appProtocol: undefined })).toBe('udp');
});

test.each([25, 53, 3306, 27017])(
  'the server of port %i speaks first, so that nobody may wait for its client',
  (number) => {
    expect(servicePortProtocol({ name: '', number, protocol: 'TCP', appProtocol: undefined })).toBe('tcp');
  },
);

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
