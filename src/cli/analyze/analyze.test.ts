// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const analyze = (input: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'analyze', '--use-kube=false', ...args], {
    input,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
};

const rule = (host: string, weight: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http: [{ route: [{ destination: { host: ${host} }, ${weight}: 100 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: known }
spec: { ports: [{ name: http, port: 80 }] }
`;

test('what is sound is said to be so', () => {
  expect(analyze(rule('known', 'weight'), '-')).toMatchObject({ status: 0, stdout: expect.stringContaining('✔') });
});

test('an error names object, place, field and cure, and makes the exit code 1', () => {
  const { status, stdout } = analyze(rule('known', 'wieght'), '-');
  expect(status).toBe(1);
  expect(stdout).toContain(
    'Error [IST0106] (VirtualService default/known, -:7) spec.http[0].route[0].wieght: there is no field `wieght` here: ' +
      'did you mean `weight`? (ISM0003)',
  );
});

test('what Istio has a code for has that code and its level, and our own beside it', () => {
  const { status, stdout } = analyze(rule('unknown', 'weight'), '-', '-o', 'json');
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject([
    {
      code: 'IST0101',
      detail: 'ISM0101',
      level: 'error',
      object: { kind: 'VirtualService', name: 'unknown' },
      file: '-',
      line: 7,
    },
  ]);
});

test('words on a rule that name no cluster are a warning, at their line', () => {
  const dangling = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: known
  annotations: { isthmus.io/clusters: " , " }
spec: { host: known }
---
apiVersion: v1
kind: Service
metadata: { name: known }
spec: { ports: [{ name: http, port: 80 }] }
`;
  const { status, stdout } = analyze(dangling, '-');
  expect(status).toBe(0);
  expect(stdout).toContain(
    'Warning [IST0133] (DestinationRule default/known, -:6) metadata.annotations["isthmus.io/clusters"]: ' +
      'isthmus.io/clusters names no cluster, so that the rule is in force here alone: write isthmus.io/clusters: ',
  );
});

test('a warning fails only where that is asked for', () => {
  const unknown = rule('unknown', 'weight')
    .replace('VirtualService', 'DestinationRule')
    .replace(/spec:.*/s, 'spec: { host: gone }');
  expect(analyze(unknown, '-').status).toBe(0);
  const { status, stdout } = analyze(unknown, '-', '-o', 'json', '--failure-threshold', 'warning');
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject([
    { code: 'IST0174', detail: 'ISM0119', level: 'warning', object: { kind: 'DestinationRule', name: 'unknown' } },
  ]);
});

test.each([
  ['nothing to look at', [], 'nothing to look at'],
  ['a file that is not there', ['/no/such/file'], '/no/such/file cannot be read: no such file or directory\n'],
  ['an unknown level', ['-', '--failure-threshold', 'bad'], 'info, warning or error'],
])('%s is a wrong call', (_, args, said) => {
  expect(analyze('', ...args)).toMatchObject({ status: 2, stderr: expect.stringContaining(said) });
});
