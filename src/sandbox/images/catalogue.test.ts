// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { CATALOGUE, resolveImage } from './catalogue.ts';

test.each([
  ['docker.io/istio/examples-bookinfo-details-v1:1.20.3', 'istio/examples-bookinfo-details-v1'],
  ['registry.istio.io/release/examples-bookinfo-details-v1:1.20.3', 'istio/examples-bookinfo-details-v1'],
  ['gcr.io/istio-testing/tcp-echo-server', 'istio/tcp-echo-server'],
  ['docker.io/mccutchen/go-httpbin:v2.15.0', 'mccutchen/go-httpbin'],
  ['nginx', 'nginx'],
])('%s is %s', (image, name) => {
  expect(resolveImage(image)).toEqual({ kind: 'program', program: CATALOGUE[name] });
});

test('another registry’s release/ is not Istio’s', () => {
  expect(resolveImage('registry.example/release/tcp-echo-server:1.3').kind).toBe('unknown');
});

test('the user’s own image of that name comes first, wherever it is said to lie', () => {
  const own = { 'istio/tcp-echo-server': { entrypoint: ['mine'], description: '' } };
  expect(resolveImage('registry.istio.io/release/tcp-echo-server:1.3', own)).toMatchObject({
    program: { entrypoint: ['mine'] },
  });
});
