// SPDX-License-Identifier: Apache-2.0
// Two clusters with the mesh on them and services in both, for tests that break something while requests come in.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { type Cluster, SandboxUnderLoad } from './sandbox-under-load.ts';

const SYSTEM = 'istio-system';

export class MeshUnderLoad extends SandboxUnderLoad {
  async up(): Promise<void> {
    const { sandbox } = this;
    await sandbox.up();
    const certificates = join(sandbox.dir, 'certs');
    await sandbox.must('certs', '--out', certificates, '--clusters', 'cluster1,cluster2');
    await Promise.all((['cluster1', 'cluster2'] as const).map((cluster) => this.#install(cluster, certificates)));
    await Promise.all([this.#deploy('cluster1', 'mesh.yaml'), this.#deploy('cluster2', 'ratings.yaml')]);
    await until('both ways', async () => {
      const answers = await Promise.all(this.targets().map(({ url }) => fetch(url)));
      return answers.every(({ status }) => status === 200);
    });
  }

  async #install(cluster: Cluster, certificates: string): Promise<void> {
    const files = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'].map(
      (name) => `--from-file=${join(certificates, cluster, name)}`,
    );
    await this.kubectl(cluster, 'create', 'namespace', SYSTEM);
    await this.kubectl(cluster, 'create', 'secret', 'generic', 'cacerts', '-n', SYSTEM, ...files);
    await this.sandbox.must('install', '--context', cluster);
    const dns = await this.kubectl(
      cluster,
      ...['get', 'service', '-n', SYSTEM, 'istiocoredns', '-o', 'jsonpath={.spec.clusterIP}'],
    );
    const stubDomains = JSON.stringify({ global: [dns] });
    const metadata = { name: 'kube-dns', namespace: 'kube-system' };
    await this.apply(cluster, JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { stubDomains } }));
    await this.kubectl(cluster, 'label', 'namespace', 'default', 'istio-injection=enabled');
  }

  async #deploy(cluster: Cluster, file: string): Promise<void> {
    const gateway2 = await this.kubectl(
      'cluster2',
      ...['get', 'service', 'istio-ingressgateway', '-n', SYSTEM],
      ...['-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'],
    );
    const yaml = readFileSync(join(root, 'test/faults', file), 'utf8').replaceAll('GATEWAY2', gateway2);
    await this.apply(cluster, yaml);
    await this.kubectl(cluster, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s');
  }

  /**
   * `local` never leaves cluster1; `remote` goes from gateway to gateway; `chain`, the dear one, which is why it is one in
   * five, through a sidecar and the other cluster's gateway.
   */
  protected targets() {
    const base = this.sandbox.gateway('cluster1').href;
    const local = { name: 'local', url: `${base}hello`, mustContain: 'Hello version' };
    const remote = { name: 'remote', url: `${base}ratings/0`, mustContain: 'Reviewer1' };
    const chain = { name: 'chain', url: `${base}reviews/0`, mustContain: 'stars' };
    return [local, remote, chain, local, remote];
  }
}
