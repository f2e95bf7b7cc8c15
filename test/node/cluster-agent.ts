// SPDX-License-Identifier: Apache-2.0
// Runs inside the namespaces of a test: API server, controllers and node of one cluster, in one process.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { startApiServer } from '../../src/sandbox/apiserver/main.ts';
import { ensureClusterPki } from '../../src/sandbox/apiserver/pki.ts';
import { runControllers } from '../../src/sandbox/controllers/main.ts';
import { resolveImage } from '../../src/sandbox/images/catalogue.ts';
import { createPodNetwork } from '../../src/sandbox/network/pod-network.ts';
import { runNode } from '../../src/sandbox/node/main.ts';
import { makePodBridge, serveCalls } from './agent-loop.ts';

interface AgentConfig {
  stateDir: string;
  rootless: boolean;
  node: string;
  dist: string;
  envoy?: string;
}

const config = JSON.parse(process.argv[2] ?? '{}') as AgentConfig;
const address = '10.1.0.1';
makePodBridge();

// The standard output is the test's.
console.log = () => {};
const log = pino({ level: process.env['NODE_LOG'] ?? 'silent' }, pino.destination(2));
const apiDir = join(config.stateDir, 'apiserver');
const nodeDir = join(config.stateDir, 'node');
for (const folder of [apiDir, nodeDir]) mkdirSync(folder, { recursive: true, mode: 0o700 });
const pki = ensureClusterPki(apiDir, {
  clusterName: 'c1',
  server: `https://${address}:6443`,
  addresses: [address],
  dnsNames: [],
});
const stop = new AbortController();
const api = await startApiServer(
  { clusterName: 'c1', dataDir: apiDir, listen: { host: address, port: 6443 }, advertiseAddresses: [address] },
  (level, message, fields) => log[level](fields ?? {}, message),
  stop.signal,
);
const controllers = runControllers(
  {
    kubeconfig: pki.kubeconfig.controllers,
    loadBalancerAddresses: [],
    clusterName: 'c1',
    caPemPath: pki.caCert,
    diskDir: join(nodeDir, 'disk'),
    log,
  },
  stop.signal,
);
const ready = new Promise<void>((resolve) => {
  void runNode(
    {
      kubeconfig: pki.kubeconfig.node,
      nodeName: 'c1-node',
      nodeAddress: address,
      stateDir: nodeDir,
      diskDir: join(nodeDir, 'disk'),
      dnsAddress: '10.96.0.10',
      clusterDomain: 'cluster.local',
      kubelet: {
        host: address,
        port: 10250,
        certFile: pki.kubeletCert,
        keyFile: pki.kubeletKey,
        clientCaFile: pki.caCert,
      },
      rootless: config.rootless,
      toolchain: { node: config.node, envoy: config.envoy, dist: config.dist },
      pods: createPodNetwork({
        cluster: { index: 1, podBridge: 'pods', podCidr: '10.1.0.0/16', podGateway: address },
        leaseFile: join(nodeDir, 'addresses.json'),
      }),
      resolveImage,
      log,
      ready: resolve,
    },
    stop.signal,
  ).then(() => nodeEnded());
});
let nodeEnded = () => {};
const ended = new Promise<void>((resolve) => {
  nodeEnded = resolve;
});

interface ShellResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A shell line on the node's side, with KUBECONFIG set to the administrator's. */
function sh(line: string, input = ''): Promise<ShellResult> {
  return new Promise((resolve) => {
    const child = spawn('sh', ['-c', line], {
      env: { ...process.env, KUBECONFIG: pki.kubeconfig.admin, HOME: config.stateDir },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

await serveCalls({
  ready: () => ready,
  sh,
  pki: () => pki,
  crash: () => process.kill(process.pid, 'SIGKILL'),
});
stop.abort();
await Promise.all([api.closed, controllers, ended]);
process.exit(0);
