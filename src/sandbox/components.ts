// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox component NAME`: the entry of every process of the sandbox. Each loads only what it needs.
import { type Logger, pino } from 'pino';
import { type ClusterLayout, clusterLayout, readConfig, type SandboxConfig } from './layout.ts';

export interface ComponentRequest {
  readonly component: string;
  readonly configFile: string;
  /** 1-based; for components of a cluster. */
  readonly cluster?: number;
}

interface ClusterComponent {
  readonly config: SandboxConfig;
  readonly cluster: ClusterLayout;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. @throws Error for an unknown component. */
export async function runComponent(request: ComponentRequest, signal: AbortSignal): Promise<void> {
  const { component, configFile } = request;
  if (component === 'host') {
    const { keepSandbox, readRequest } = await import('./keeper.ts');
    return keepSandbox(readRequest(configFile), signal);
  }
  const config = readConfig(configFile);
  if (component === 'supervisor') return (await import('./supervisor.ts')).runSupervisor(config, configFile, signal);
  if (component === 'portal') return (await import('./portal.ts')).runPortal(config, signal);
  const run = CLUSTER_COMPONENTS[component];
  if (run === undefined || request.cluster === undefined) throw new Error(`there is no component "${component}"`);
  const cluster = clusterLayout(config.stateDir, request.cluster);
  const log = pino({ base: { cluster: cluster.name, component } });
  return run({ config, cluster, log, signal });
}

const CLUSTER_COMPONENTS: Readonly<Record<string, (inputs: ClusterComponent) => Promise<void>>> = {
  net: async ({ cluster, log, signal }) => (await import('./net-component.ts')).runNet(cluster, log, signal),
};
