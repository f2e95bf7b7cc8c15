// SPDX-License-Identifier: Apache-2.0
// Our reading of RE2 against Envoy's: which random expressions it takes, and what the others match.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clusterName } from '../src/api/names.ts';
import { faultOfRegex, toJavaScript } from '../src/api/regex.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { send } from './proof/client.ts';
import { ObservedEnvoy } from './proof/observed-envoy.ts';
import { throwAwayKeys } from './scenarios/static-bootstrap.ts';

const envoy = findEnvoy();
const FACTOR = rounds(1, 50);
const SEED = 20260103;

const PIECES = [
  ...['a', 'b', 'B', '1', '-', ',', ':', ' ', '/', '&&', '#', 'é', '.', '^', '$', '|', '(|a)', '()'],
  ...[
    '*',
    '+',
    '?',
    '??',
    '*?',
    '++',
    '**',
    '{2}',
    '{2,}',
    '{1,3}',
    '{0}',
    '{,3}',
    '{02}',
    '{3,2}',
    '{1001}',
    '{',
    '}',
  ],
  ...['(', ')', '(?:', '(?P<n>', '(?<m>', '(?i)', '(?i:', '(?s-i)', '(?U)', '(?', '(?#', '(?P=n)', '(?=', '(?<!'],
  ...[
    '[',
    ']',
    '[^',
    '[a-z]',
    '[]a]',
    '[\\d-z]',
    '[a-\\d]',
    '[z-a]',
    '[[:alpha:]]',
    '[[:^digit:]]',
    '[[:foo:]]',
    '[-a]',
  ],
  ...[
    '\\',
    '\\d',
    '\\W',
    '\\s',
    '\\b',
    '\\B',
    '\\A',
    '\\z',
    '\\Z',
    '\\C',
    '\\.',
    '\\[',
    '\\-',
    '\\_',
    '\\"',
    '\\Q',
    '\\E',
  ],
  ...[
    '\\pL',
    '\\p{Greek}',
    '\\P{^Lu}',
    '\\pX',
    '\\x41',
    '\\x{e9}',
    '\\xZ',
    '\\0',
    '\\07',
    '\\12',
    '\\1',
    '\\8',
    '\\e',
    '\\n',
    '\\cA',
  ],
];
const expression = fc
  .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 6 })
  .map((pieces) => pieces.join(''));

function bootstrapWith(regex: string): object {
  const type = (name: string) => ({ '@type': `type.googleapis.com/envoy.extensions.filters.${name}` });
  const routes = [{ match: { safe_regex: { regex } }, direct_response: { status: 200 } }];
  const manager = {
    ...type('network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'x',
    route_config: { virtual_hosts: [{ name: 'x', domains: ['*'], routes }] },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: type('http.router.v3.Router') }],
  };
  const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }];
  const address = { socket_address: { address: '127.0.0.1', port_value: 1 } };
  // As the bootstrap of every proxy has it.
  const layer = { name: 'x', static_layer: { 're2.max_program_size.error_level': 32768 } };
  return {
    layered_runtime: { layers: [layer] },
    static_resources: { listeners: [{ name: 'x', address, filter_chains: [{ filters }] }] },
  };
}

describe.skipIf(envoy === undefined)('regular expressions on a real Envoy', { timeout: 60_000 * FACTOR }, () => {
  test('it takes those that we take, and no others', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'isthmus-regex-'));
    const path = join(scratch, 'bootstrap.json');
    try {
      const property = fc.asyncProperty(expression, async (regex) => {
        writeFileSync(path, JSON.stringify(bootstrapWith(regex)));
        const args = ['--mode', 'validate', '--disable-hot-restart', '--log-level', 'error', '--config-path', path];
        const refusal = await promisify(execFile)(envoy!, args).then(
          () => undefined,
          (error: Error) => error.message,
        );
        expect({ regex, fault: faultOfRegex(regex) }).toEqual({ regex, fault: refusal && expect.any(String) });
      });
      await fc.assert(property, { numRuns: 80 * FACTOR, seed: SEED });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });

  test('they match what we say that they match', async () => {
    const regexes = [...new Set(fc.sample(expression, { numRuns: rounds(400, 8_000), seed: SEED }))].filter(
      (r) => faultOfRegex(r) === undefined,
    );
    expect(regexes.length).toBeGreaterThan(50);
    const http = regexes.map((regex, i) => ({
      match: [{ uri: { exact: `/${i}` }, headers: { x: { regex } } }],
      directResponse: { status: 204 },
    }));
    const objects: KubeObject[] = [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'd', name: 's' },
        spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
      },
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { namespace: 'd', name: 's' },
        spec: { hosts: ['s'], http },
      },
    ];
    const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
    const { snapshot } = new MeshStore({ ...settings, configCluster: 'c' }).apply(
      objects.map((object) => ({ kind: 'upsert', cluster: 'c', object })),
    );
    const proxy = meshProxy({ cluster: clusterName('c'), namespace: 'd', serviceAccount: 'd' });
    const { desired } = compileProxy(snapshot, proxy, new CompileCache());
    const keys = throwAwayKeys();
    // Nobody is reached: the proxy answers by itself.
    const observed = await ObservedEnvoy.start(envoy!, { desired, keys, echoPort: 1 });
    const options = { port: observed.portOf('outbound'), keys, bytes: '' };
    const connection = { address: '10.96.0.1', port: 80 };
    try {
      const value = fc.array(
        fc.constantFrom('a', 'b', 'B', 'A', '1', '-', ',', ':', '.', '/', '#', '[', ']', '{', '}', '_', 'z'),
        { maxLength: 4 },
      );
      for (const [i, regex] of regexes.entries()) {
        const values = ['', 'a', ...fc.sample(value, { numRuns: 6, seed: SEED + i }).map((v) => v.join(''))];
        for (const x of new Set(values)) {
          const request = { method: 'GET', scheme: 'http', authority: 's', path: `/${i}`, headers: { x } };
          const { status } = await send({ direction: 'outbound', connection, request }, options);
          expect({ regex, x, matches: toJavaScript(regex).test(x) }).toEqual({ regex, x, matches: status === 204 });
        }
      }
    } finally {
      await observed.stop();
    }
  });
});
