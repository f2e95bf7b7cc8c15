// SPDX-License-Identifier: Apache-2.0
// Every case of scenarios/: its calls, its goldens, and Envoy's own opinion of what it would get.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { readCalls, runCall } from './scenarios/calls.ts';
import { findCases, goldensOf, isGolden, loadCase, SCENARIOS, showsTelemetry } from './scenarios/goldens.ts';
import { missingClusters, withNameable } from './scenarios/nameable.ts';
import { staticBootstrap } from './scenarios/static-bootstrap.ts';

const envoy = findEnvoy();
let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'isthmus-scenarios-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(findCases())('%s', (name) => {
  const folder = join(SCENARIOS, name);
  const scenario = loadCase(name);

  test('goldens are what the stages make (make golden)', () => {
    const files = goldensOf(scenario, showsTelemetry(name));
    expect(readdirSync(folder).filter(isGolden).sort()).toEqual([...files.keys()].sort());
    for (const [file, text] of files) expect(text, file).toBe(readFileSync(join(folder, file), 'utf8'));
  });

  test.each(readCalls(name).map((call) => [call.name, call] as const))('%s', (_, call) => {
    const from = scenario.proxies.get(call.from);
    if (from === undefined) throw new Error(`calls.yaml: there is no proxy ${call.from}`);
    const { lines, rule } = runCall(call, from);
    expect(lines).toEqual([call.expect].flat());
    if (call.rule !== undefined) expect(rule).toBe(call.rule);
  });

  test.each([...scenario.proxies.keys()])('%s has the clusters that its routes and listeners name', (proxy) => {
    expect(missingClusters(scenario.proxies.get(proxy)!.compiled)).toEqual([]);
  });

  test.skipIf(envoy === undefined).each([...scenario.proxies.keys()])('Envoy accepts what %s gets', async (proxy) => {
    const path = join(scratch, `${name.replaceAll('/', '-')}-${proxy}.pb`);
    writeFileSync(path, staticBootstrap(withNameable(scenario.proxies.get(proxy)!.compiled)));
    const args = ['--mode', 'validate', '--disable-hot-restart', '--log-level', 'error', '--config-path', path];
    const { stdout, stderr } = await promisify(execFile)(envoy!, args).catch((e: Error) => ({
      stdout: '',
      stderr: e.message,
    }));
    expect(`${stdout}${stderr}`).toContain('OK');
  });
});

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoy === undefined) context.skip('no Envoy found: resources were not validated');
});
