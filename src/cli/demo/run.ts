// SPDX-License-Identifier: Apache-2.0
// The engine of all demos: clusters, the document's acts, and what was measured beside what was to be expected.
import { dirname, join } from 'node:path';
import { DemoCluster } from './cluster.ts';
import type { DemoDocument } from './document.ts';
import { Figures } from './figures.ts';
import { runIsthmus } from './isthmus-command.ts';
import type { Outcome } from './outcome.ts';
import { Performance } from './perform.ts';
import { askFromPod } from './pod-traffic.ts';
import type { Stage } from './stage.ts';
import { StepShell } from './step-shell.ts';
import type { Steps } from './steps.ts';
import { askForPage } from './traffic.ts';

export interface DemoOptions {
  readonly name: string;
  readonly requests: number;
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly stage: Stage;
  readonly outcomes: readonly Outcome[];
}

interface SandboxStatus {
  readonly kubeconfig: string;
  readonly clusters: readonly { readonly name: string; readonly gateway: { readonly url: string } }[];
}

/** Everything up to the table. The caller takes the sandbox down, whatever happens here. */
export async function runDemo(document: DemoDocument, steps: Steps, options: DemoOptions): Promise<DemoResult> {
  const { signal, name } = options;
  const status = await steps.run(
    document.clusters === 1 ? 'Start a cluster' : 'Start two clusters, a network each',
    async () => {
      const up = ['sandbox', 'up', '--fresh', '--name', name, '--clusters', String(document.clusters), '-o', 'json'];
      return JSON.parse(await runIsthmus(up, signal)) as SandboxStatus;
    },
  );
  const stage = setStage(document, status, signal);
  try {
    const outcomes = await new Performance(document, stage, options.requests).play(steps);
    return { stage, outcomes };
  } finally {
    for (const cluster of stage.clusters) cluster.close();
  }
}

function setStage(document: DemoDocument, { kubeconfig, clusters }: SandboxStatus, signal: AbortSignal): Stage {
  const { traffic } = document;
  const gateway = new URL(clusters[0]!.gateway.url);
  const caller = { kubeconfig, context: clusters[0]!.name, ...traffic.caller };
  return {
    kubeconfig,
    clusters: clusters.map(({ name }) => new DemoCluster(kubeconfig, name)),
    gateway,
    // Below the sandbox's own folder: gone with it.
    shell: new StepShell(join(dirname(kubeconfig), 'work'), document.number, kubeconfig, signal),
    ask: traffic.kind === 'page' ? askForPage(gateway) : askFromPod({ ...caller, ...traffic }),
    figures: new Figures(),
    signal,
  };
}
