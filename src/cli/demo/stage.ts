// SPDX-License-Identifier: Apache-2.0
// What an act has at hand.
import type { Ask } from './ask.ts';
import type { DemoCluster } from './cluster.ts';
import type { Figures } from './figures.ts';
import type { StepShell } from './step-shell.ts';

export interface Stage {
  readonly kubeconfig: string;
  readonly clusters: readonly DemoCluster[];
  /** cluster1's ingress gateway on this machine. */
  readonly gateway: URL;
  readonly shell: StepShell;
  readonly ask: Ask;
  readonly figures: Figures;
  readonly signal: AbortSignal;
}
