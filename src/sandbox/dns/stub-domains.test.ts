// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { findStub, readKubeDnsConfig } from './stub-domains.ts';

describe('stub domains', () => {
  it('from the kube-dns ConfigMap', () => {
    const domains = readKubeDnsConfig({
      stubDomains: '{"Global": ["10.96.4.2"], "acme.local": ["1.2.3.4:5353", "1.2.3.5"]}',
    });
    expect([...domains]).toEqual([
      ['global', [{ host: '10.96.4.2', port: 53 }]],
      [
        'acme.local',
        [
          { host: '1.2.3.4', port: 5353 },
          { host: '1.2.3.5', port: 53 },
        ],
      ],
    ]);
    expect([...readKubeDnsConfig({})]).toEqual([]);
    expect([...readKubeDnsConfig({ upstreamNameservers: '["9.9.9.9"]' })]).toEqual([
      ['', [{ host: '9.9.9.9', port: 53 }]],
    ]);
  });

  it.each([
    [{ stubDomains: '{"global": [' }, /^stubDomains: /],
    [{ stubDomains: '["global"]' }, /expected an object/],
    [{ stubDomains: '{"global": "10.96.4.2"}' }, /stubDomains\["global"\]: expected a list/],
    [{ stubDomains: '{"global": ["dns.example"]}' }, /"dns.example" is not an address/],
  ])('says what is wrong with %j', (data, message) => {
    expect(() => readKubeDnsConfig(data as Record<string, string>)).toThrow(message);
  });

  it('the longest domain wins, whole labels only', () => {
    const server = (host: string) => [{ host, port: 53 }];
    const stubs = new Map([
      ['global', server('1')],
      ['eu.global', server('2')],
    ]);
    expect(findStub(stubs, 'a.eu.global')).toEqual(server('2'));
    expect(findStub(stubs, 'eu.global')).toEqual(server('2'));
    expect(findStub(stubs, 'a.us.global')).toEqual(server('1'));
    expect(findStub(stubs, 'notglobal')).toBeUndefined();
    expect(findStub(new Map([['', server('3')]]), 'anything.at.all')).toEqual(server('3'));
  });
});
