// SPDX-License-Identifier: Apache-2.0
// docs/rules-written-once.md on clusters that `mesh up` joined: a VirtualService of one, in force in the others for their own
// Service of that name; followed, brought back, given up to a person, and gone with its source.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { CopyReport, RuleReport } from '../../src/federation/rules/comparison.ts';
import type { TestSandbox } from '../fixture/sandbox.ts';

interface Scene {
  /** Where the rule is written. */
  readonly written: string;
  readonly copied: readonly string[];
  /** Whose pods have sidecars. */
  readonly namespace: string;
}

const POLL = { timeout: 30_000, interval: 100 };

export async function ruleWrittenOnce(sandbox: TestSandbox, { written, copied, namespace }: Scene): Promise<void> {
  const all = [written, ...copied];
  const at = (cluster: string, ...args: string[]): Promise<string> =>
    sandbox.kubectl('--context', cluster, '-n', namespace, ...args);
  const write = async (status: number): Promise<void> => {
    const file = join(sandbox.dir, 'once.json');
    writeFileSync(file, JSON.stringify(ruleOf(namespace, status)));
    await at(written, 'apply', '-f', file);
  };
  /** What `sleep` of each cluster is answered by its own sidecar. */
  const answers = (): Promise<string[]> =>
    Promise.all(
      all.map((cluster) =>
        at(cluster, ...'exec deploy/sleep -c sleep -- curl -s -o /dev/null -w %{http_code} sleep/once'.split(' ')),
      ),
    );
  const rules = async (): Promise<{ code: number; copies: CopyReport[] }> => {
    const { code, stdout } = await sandbox.isthmus('rules', '-n', namespace, '-o', 'json');
    return { code, copies: (JSON.parse(stdout) as RuleReport[]).flatMap(({ copies }) => copies) };
  };
  const states = async (): Promise<string[]> =>
    (await rules()).copies.map(({ cluster, state, generation }) => `${cluster} ${state} ${generation}`);
  const specOf = async (cluster: string): Promise<string> =>
    at(cluster, 'get', 'virtualservice', 'once', '-o', 'jsonpath={.spec}');

  await Promise.all(
    all.map(async (cluster) => {
      await at(cluster, 'apply', '-f', 'samples/sleep/sleep.yaml');
      await at(cluster, 'wait', '--for=condition=Available', 'deployment/sleep', '--timeout=60s');
    }),
  );
  await write(418);
  await expect.poll(answers, POLL).toEqual(all.map(() => '418'));
  expect(await states()).toEqual(copied.map((cluster) => `${cluster} in-step 1`));
  await write(429);
  await expect.poll(answers, POLL).toEqual(all.map(() => '429'));
  expect(await states()).toEqual(copied.map((cluster) => `${cluster} in-step 2`));

  const [edited = '', taken = ''] = copied;
  const source = await specOf(written);
  await at(edited, 'patch', 'virtualservice', 'once', '--type=merge', '-p', '{"spec":{"hosts":["edited"]}}');
  await expect.poll(() => specOf(edited), POLL).toBe(source);
  const reasons = (cluster: string) => at(cluster, 'get', 'events', '-o', 'jsonpath={.items[*].reason}');
  await expect.poll(() => reasons(edited), POLL).toContain('RuleRestored');

  await at(taken, 'label', 'virtualservice', 'once', 'isthmus.io/source-cluster-');
  await at(taken, 'patch', 'virtualservice', 'once', '--type=merge', '-p', '{"spec":{"hosts":["taken"]}}');
  for (const cluster of [written, taken]) await expect.poll(() => reasons(cluster), POLL).toContain('RuleOccupied');
  expect(await rules()).toMatchObject({
    code: 1,
    copies: [{ state: 'in-step' }, { cluster: taken, state: 'occupied' }],
  });

  await at(written, 'delete', 'virtualservice', 'once');
  await expect.poll(() => at(edited, 'get', 'virtualservice', '-o', 'name'), POLL).toBe('');
  expect(await specOf(taken)).toContain('taken');
  await at(taken, 'delete', 'virtualservice', 'once');
}

function ruleOf(namespace: string, status: number): Record<string, unknown> {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'once', namespace, annotations: { 'isthmus.io/clusters': '*' } },
    spec: { hosts: ['sleep'], http: [{ match: [{ uri: { prefix: '/once' } }], directResponse: { status } }] },
  };
}
