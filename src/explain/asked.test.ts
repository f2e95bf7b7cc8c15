// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { describeRequest, readRequest } from './asked.ts';

test.each([
  [
    ['http://reviews:9080/a?b=c'],
    { kind: 'http', method: 'GET', host: 'reviews', port: 9080, authority: 'reviews:9080', path: '/a?b=c' },
  ],
  [['post', 'http://reviews'], { kind: 'http', method: 'POST', port: 80, authority: 'reviews', path: '/' }],
  [['https://shop.example/x'], { kind: 'http', scheme: 'https', port: 443 }],
  [
    ['grpc://orders:50051/o.O/L'],
    { kind: 'http', method: 'POST', protocol: 'h2', headers: { 'content-type': 'application/grpc', te: 'trailers' } },
  ],
  [['tcp://redis:6379'], { kind: 'tcp', host: 'redis', port: 6379 }],
  [['tls://db:5432'], { kind: 'tls', serverName: 'db', port: 5432 }],
  [['http://[fd00::1]:80/'], { host: 'fd00::1', authority: '[fd00::1]:80' }],
])('%j', (words, expected) => {
  expect(readRequest(words)).toMatchObject(expected);
});

test('a Host header is the authority; other names are in lower case', () => {
  expect(readRequest(['http://10.0.0.1/'], ['Host: shop.example', 'End-User: jason'])).toMatchObject({
    host: '10.0.0.1',
    authority: 'shop.example',
    headers: { 'end-user': 'jason' },
  });
});

test.each([
  [['reviews'], [], 'no URL'],
  [['ftp://x/'], [], 'no URL'],
  [['tcp://redis'], [], 'no port'],
  [['http://x:99999/'], [], 'no port'],
  [['GET', 'tcp://x:1'], [], 'no method'],
  [['G3T', 'http://x/'], [], 'no HTTP method'],
  [['http://x/'], ['jason'], 'no name and value'],
])('%j with %j is refused: %s', (words, headers, reason) => {
  expect(() => readRequest(words, headers)).toThrow(reason);
});

test('it is shown as it was written', () => {
  for (const url of ['http://reviews:9080/a', 'http://reviews/', 'https://x/'])
    expect(describeRequest(readRequest([url]))).toBe(`GET ${url}`);
});
