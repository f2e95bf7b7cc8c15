// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { VirtualHostIntent } from '../intent/route-types.ts';
import { DomainIndex } from './domain-index.ts';

const host = (name: string, ...domains: string[]): VirtualHostIntent => ({
  name,
  domains,
  httpsOnly: false,
  routes: [],
  origin: { object: { apiVersion: 'v1', kind: 'Service', namespace: 'default', name }, field: 'spec' },
});

describe('hosts of a table by their domains', () => {
  const index = new DomainIndex([
    host('exact', 'reviews', 'Reviews.default', '[fd00::1]'),
    host('below', '*.example.com'),
    host('further below', '*.shop.example.com'),
    host('suffix', '*-blue.example.net'),
    host('prefix', 'api.*'),
  ]);

  test.each([
    ['reviews', 'exact'],
    ['REVIEWS.default:9080', 'exact'],
    ['[fd00::1]:80', 'exact'],
    ['a.example.com', 'below'],
    ['a.b.shop.example.com:80', 'further below'],
    ['shop.example.com', 'below'],
    ['x-blue.example.net', 'suffix'],
    ['api.internal', 'prefix'],
    ['api.example.com', 'below'],
    ['example.com', undefined],
    ['ratings', undefined],
  ])('%s is of %s', (authority, name) => {
    expect(index.find(authority)?.name).toBe(name);
  });

  test('`*` has what no other has', () => {
    const all = new DomainIndex([host('all', '*'), host('exact', 'reviews'), host('prefix', 'api.*')]);
    expect(['reviews', 'api.x', 'ratings'].map((each) => all.find(each)?.name)).toEqual(['exact', 'prefix', 'all']);
  });

  test('hosts are shadowable by wildcards of others, and not by their own', () => {
    const names = (...hosts: VirtualHostIntent[]) => new DomainIndex(hosts).shadowable().map(({ name }) => name);
    expect(names(host('db', 'db.default', '*.db.default'), host('web', 'web.default'))).toEqual([]);
    expect(names(host('wide', '*.default'), host('db', 'db.default'), host('other', 'a.b'))).toEqual(['db']);
    expect(names(host('wide', '*.example.com'), host('narrow', '*.shop.example.com'))).toEqual(['narrow']);
    expect(names(host('all', '*'), host('a', 'a'), host('b', 'b'))).toEqual(['a', 'b']);
  });
});
