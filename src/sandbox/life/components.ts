// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox component NAME`: the entry of every process of the sandbox. Each loads only what it needs.
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { logOutput } from '../../process/log-output.ts';
import { type ClusterLayout, clusterLayout, readConfig, type SandboxConfig } from '../layout.ts';
import { API_PORT, CLUSTER_DOMAIN, DNS_SERVICE_ADDRESS, KUBELET_PORT, SERVICE_CIDR } from '../network/addresses.ts';
import { waitForApiServer } from './api-readiness.ts';

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
    const { claimRequest, keepSandbox } = await import('./keeper.ts');
    return keepSandbox(claimRequest(configFile), signal);
  }
  const config = readConfig(configFile);
  if (component === 'supervisor') return (await import('./supervisor.ts')).runSupervisor(config, configFile, signal);
  if (component === 'portal') return (await import('./portal.ts')).runPortal(config, signal);
  const run = CLUSTER_COMPONENTS[component];
  if (run === undefined || request.cluster === undefined) throw new Error(`there is no component "${component}"`);
  const cluster = clusterLayout(config, request.cluster);
  const log = pino({ base: { cluster: cluster.name, component } }, logOutput());
  return run({ config, cluster, log, signal });
}

const CLUSTER_COMPONENTS: Readonly<Record<string, (inputs: ClusterComponent) => Promise<void>>> = {
  apiserver: async ({ cluster, signal }) => {
    const { runApiServer } = await import('../apiserver/main.ts');
    const options = {
      clusterName: cluster.name,
      dataDir: cluster.apiServerDir,
      listen: { host: cluster.nodeAddress, port: API_PORT },
      advertiseAddresses: [cluster.nodeAddress],
      serviceCidr: SERVICE_CIDR,
    };
    return runApiServer(options, signal);
  },
  controllers: async ({ cluster, log, signal }) => {
    const { runControllers } = await import('../controllers/main.ts');
    const options = {
      kubeconfig: cluster.pki.kubeconfig.controllers,
      loadBalancerAddresses: cluster.loadBalancerAddresses,
      clusterName: cluster.name,
      caPemPath: cluster.pki.caCert,
      diskDir: join(cluster.nodeDir, 'disk'),
      log,
    };
    await waitForApiServer(options.kubeconfig, signal);
    return runControllers(options, signal);
  },
  node: async ({ config, cluster, log, signal }) => {
    const { runNode } = await import('../node/main.ts');
    const { createPodNetwork } = await import('../network/pod-network.ts');
    const { resolveImage } = await import('../images/catalogue.ts');
    const { readOwnImages } = await import('../images/own-images-file.ts');
    const { node, envoy, dist } = config.toolchain;
    const options = {
      kubeconfig: cluster.pki.kubeconfig.node,
      nodeName: cluster.nodeName,
      nodeAddress: cluster.nodeAddress,
      network: cluster.network,
      stateDir: cluster.nodeDir,
      diskDir: join(cluster.nodeDir, 'disk'),
      dnsAddress: DNS_SERVICE_ADDRESS,
      clusterDomain: CLUSTER_DOMAIN,
      kubelet: {
        host: cluster.nodeAddress,
        port: KUBELET_PORT,
        certFile: cluster.pki.kubeletCert,
        keyFile: cluster.pki.kubeletKey,
        clientCaFile: cluster.pki.caCert,
      },
      rootless: config.rootless,
      toolchain: { node, envoy, dist },
      pods: createPodNetwork({ cluster, leaseFile: join(cluster.nodeDir, 'addresses.json') }),
      resolveImage: (image: string) => resolveImage(image, readOwnImages(config.stateDir)),
      log,
      ready: () => void process.send?.('ready'),
    };
    await waitForApiServer(options.kubeconfig, signal);
    return runNode(options, signal);
  },
  net: async ({ cluster, log, signal }) => {
    const { runNet } = await import('../network/main.ts');
    await waitForApiServer(cluster.pki.kubeconfig.net, signal);
    return runNet(cluster, log, signal);
  },
};
