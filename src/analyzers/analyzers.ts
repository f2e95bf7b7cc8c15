// SPDX-License-Identifier: Apache-2.0
// All that looks at one cluster.
import type { Diagnostic } from '../api/diagnostics.ts';
import { checkAnnotations } from './annotations.ts';
import { checkExports } from './exports.ts';
import { checkInjection } from './injection.ts';
import { checkRules } from './rules.ts';
import { checkSelectors } from './selectors.ts';
import { checkServices } from './services.ts';
import { checkSubsets } from './subsets.ts';
import { checkWebhooks } from './webhooks.ts';
import type { World } from './world.ts';

export interface Analyzer {
  readonly name: string;
  readonly looksAt: string;
  /** Of use only where a control plane goes by the rules that are there. */
  readonly ofRules: boolean;
  run(world: World, elsewhere: readonly World[]): Diagnostic[];
}

/** In the order in which they are listed. */
export const ANALYZERS: readonly Analyzer[] = [
  {
    name: 'injection',
    looksAt: 'namespaces and pods: who gets a sidecar, and of which version',
    ofRules: false,
    run: checkInjection,
  },
  {
    name: 'annotations',
    looksAt: 'annotations of the mesh on namespaces, Services and pods',
    ofRules: false,
    run: checkAnnotations,
  },
  {
    name: 'services',
    looksAt: 'ports of Services: their names, and what shares them',
    ofRules: false,
    run: checkServices,
  },
  {
    name: 'selectors',
    looksAt: 'rules that select pods: whether there are any, and only once',
    ofRules: true,
    run: checkSelectors,
  },
  {
    name: 'subsets',
    looksAt: 'subsets of DestinationRules: whether any pod is in them',
    ofRules: true,
    run: checkSubsets,
  },
  {
    name: 'rules',
    looksAt: 'routes, TLS, patches and telemetry that do not do what they seem to',
    ofRules: true,
    run: checkRules,
  },
  { name: 'exports', looksAt: 'exports: whether they are done as asked', ofRules: false, run: checkExports },
  {
    name: 'webhooks',
    looksAt: 'webhooks of the mesh: whether their Service is there',
    ofRules: false,
    run: checkWebhooks,
  },
];
