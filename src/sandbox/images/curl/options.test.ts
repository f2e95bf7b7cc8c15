// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseCurlOptions } from './options.ts';

test('--rate spaces transfers: by the second, minute, day, or by the hour when no unit is named', () => {
  const spacingMs = (...args: string[]): number => parseCurlOptions([...args, 'http://x']).spacingMs;
  expect(spacingMs()).toBe(0);
  expect(spacingMs('--rate', '50/s')).toBe(20);
  expect(spacingMs('--rate', '120/m')).toBe(500);
  expect(spacingMs('--rate', '3600')).toBe(1_000);
  for (const wrong of ['0/s', '5/w', 'fast', '-1/s']) expect(() => spacingMs('--rate', wrong)).toThrow('--rate');
});

test('--resolve names an address for a host and port, -E and --cacert files', () => {
  const args = [
    '-sE',
    'me.pem',
    '--cacert',
    'roots.pem',
    '--resolve',
    'Shop.example:443:10.0.0.1',
    'https://shop.example',
  ];
  const { cert, cacert, resolve } = parseCurlOptions(args);
  expect([cert, cacert, ...resolve]).toEqual(['me.pem', 'roots.pem', ['shop.example:443', '10.0.0.1']]);
  expect(() => parseCurlOptions(['--resolve', 'shop.example:10.0.0.1', 'http://x'])).toThrow('RESOLVE');
});
