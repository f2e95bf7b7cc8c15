// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { diagnoseIdlePatches } from '../../src/runtime/findings/idle-patches.ts';
import { diagnosticsGolden, envoyGolden, intentGolden } from './golden-text.ts';
import { withNameable } from './nameable.ts';
import { loadScenario, type Scenario } from './scenario.ts';

export const SCENARIOS = fileURLToPath(new URL('../../scenarios', import.meta.url));

/** Every FEATURE/CASE with an input.yaml; scenarios/seeds are scripts of another kind. */
export function findCases(): string[] {
  return readdirSync(SCENARIOS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('/input.yaml') && !file.startsWith('seeds/'))
    .map((file) => file.slice(0, -'/input.yaml'.length))
    .sort();
}

/** File name -> what it should hold. No diagnostics.yaml: there is nothing to say. */
export function showsTelemetry(name: string): boolean {
  return name.startsWith('telemetry/') || name.startsWith('mesh-config/');
}

/** What is told of requests is the same in nearly all of them: `telemetry` shows it. */
export function goldensOf(scenario: Scenario, telemetry: boolean): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, { compiled, bare }] of scenario.proxies) {
    files.set(`intent.${name}.yaml`, intentGolden(compiled.intent, telemetry));
    files.set(`envoy.${name}.yaml`, envoyGolden(withNameable(compiled), withNameable(bare), telemetry));
  }
  const patches = [...scenario.proxies.values()].flatMap(({ compiled }) => compiled.patches ?? []);
  const said = [...scenario.diagnostics, ...diagnoseIdlePatches(patches)];
  if (said.length > 0) files.set('diagnostics.yaml', diagnosticsGolden(said));
  return files;
}

export function isGolden(file: string): boolean {
  return /^(intent\..+|envoy\..+|diagnostics)\.yaml$/.test(file);
}

export function loadCase(name: string): Scenario {
  return loadScenario(join(SCENARIOS, name));
}
