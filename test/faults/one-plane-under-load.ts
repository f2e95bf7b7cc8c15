// SPDX-License-Identifier: Apache-2.0
// Seed 001 under load: two clusters on networks of their own, one control plane in cluster1, helloworld in both.
import { join } from 'node:path';
import { root } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { SeedScenario } from '../seeds/scenario.ts';
import { SandboxUnderLoad } from './sandbox-under-load.ts';

export class OnePlaneUnderLoad extends SandboxUnderLoad {
  readonly scenario: SeedScenario;

  constructor(label: string) {
    super(label);
    this.scenario = new SeedScenario('001', this.sandbox);
  }

  async up(): Promise<void> {
    await this.sandbox.up();
    await this.scenario.setup();
    await this.#steps([2, 3, 4]);
    const ready = ['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s', '-n'];
    await this.kubectl('cluster1', ...ready, 'istio-system');
    await this.#steps([6, 7, 8, 9, 11, 12, 13, 15, 18, 19, 20]);
    await this.kubectl('cluster2', ...ready, 'istio-system');
    await this.#steps([22, 23, 25, 26]);
    await this.kubectl('cluster1', 'apply', '-f', join(root, 'test/faults/one-plane.yaml'));
    for (const cluster of ['cluster1', 'cluster2'] as const) await this.kubectl(cluster, ...ready, 'sample');
    await until('both versions', async () => {
      const answers = await Promise.all(
        Array.from({ length: 10 }, async () => (await fetch(this.targets()[1]!.url)).text()),
      );
      return ['v1', 'v2'].every((version) => answers.some((text) => text.includes(`version: ${version}`)));
    });
  }

  /** The document's, by number. */
  async #steps(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) await this.scenario.step(number);
  }

  /** `local` never leaves cluster1, `both` goes to cluster1's pod and, by cluster2's gateway, to cluster2's. */
  protected targets() {
    const base = this.sandbox.gateway('cluster1').href;
    const local = { name: 'local', url: `${base}local/hello`, mustContain: 'Hello version: v1' };
    const both = { name: 'both', url: `${base}hello`, mustContain: 'Hello version' };
    return [local, both];
  }
}
