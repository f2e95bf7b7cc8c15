// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh init`: a mesh.yaml to begin with, of the contexts of a kubeconfig. No cluster is asked for anything.
import { existsSync, writeFileSync } from 'node:fs';
import type { KubeContext } from '../../kube/config.ts';
import { commandName } from '../command-name.ts';
import { findContext, readContexts } from '../find-context.ts';
import { UserError } from '../user-error.ts';
import { isLoopback } from './server-address.ts';

export interface InitOptions {
  /** None: all of the kubeconfig. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly name: string;
  /** `-` is standard output. */
  readonly out: string;
  readonly force: boolean;
}

export function initMesh(options: InitOptions): void {
  const { out, force } = options;
  if (out !== '-' && existsSync(out) && !force) {
    throw new UserError(`${out} is there already: name another file with --out, or write over it with --force`, 2);
  }
  const contexts = chooseContexts(options);
  const text = renderMeshFile(options.name, contexts);
  if (out === '-') {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(out, text);
  } catch (error) {
    throw new UserError(`${out} cannot be written (${(error as NodeJS.ErrnoException).code}): name another with --out`);
  }
  const names = contexts.map(({ name }) => name).join(', ');
  process.stdout.write(`Wrote ${out}: ${names}.\n\nNext:\n  ${commandName()} mesh up -f ${out} --dry-run\n`);
}

function chooseContexts({ contexts, kubeconfig }: InitOptions): KubeContext[] {
  const all = readContexts(kubeconfig);
  if (all.length === 0) throw new UserError('the kubeconfig has no contexts: name another file with --kubeconfig', 2);
  return contexts.length === 0 ? all : contexts.map((name) => findContext(name, all));
}

/** Names of clusters are those of their contexts, as far as they can be. */
export function renderMeshFile(name: string, contexts: readonly KubeContext[]): string {
  const names = clusterNames(contexts.map((context) => context.name));
  const clusters = contexts.map((context, i) => renderCluster(context, names[i]!, i));
  return `# A mesh of several clusters, for \`isthmus mesh up -f FILE\` (docs/mesh-up.md). Run it again after each change.
apiVersion: isthmus.io/v1alpha1
kind: Mesh
metadata:
  name: ${name}
spec:
  # In the identities of all workloads: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT.
  trustDomain: cluster.local
  trust:
    # made:    \`mesh up\` makes one root, kept in \`directory\`, and for each cluster an intermediate, kept in the cluster.
    # files:   your own CA: \`directory\` has a folder for each cluster with ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.
    # secrets: your own CA: Secret cacerts is in istio-system of each cluster already.
    ca: made
    directory: mesh-ca
  # Values of the installation in every cluster, as \`isthmus install -f\` takes them; those of a cluster lie over them.
  # values:
  #   pilot: {logLevel: debug}
  clusters:
${clusters.join('')}  # Which services all other clusters get to know (besides those with the annotation isthmus.io/export: "true" or a
  # ServiceExport): by namespace, and by label.
  # exports:
  #   - name: shop
  #     namespaces: [shop]
  #     selector: {matchLabels: {tier: public}}
`;
}

function renderCluster({ name: context, server }: KubeContext, name: string, index: number): string {
  const lines = [
    `    - name: ${scalar(name)}`,
    `      context: ${scalar(context)}`,
    ...(index > 0
      ? [`      network: ${scalar(name)}`]
      : [
          '      # Pods of one network reach one another; from another network they are reached by their gateway.',
          `      network: ${scalar(name)}`,
          '      # own: it has a control plane. {servedBy: CLUSTER}: the control plane of that cluster rules its proxies.',
        ]),
    '      controlPlane: own',
  ];
  if (server !== undefined && isLoopback(server)) {
    lines.push(
      `      # ${server} is this machine: how do pods of the other clusters reach this API server?`,
      '      # apiServer: https://ADDRESS:PORT',
    );
  }
  if (index === 0) {
    lines.push(
      '      # gateway: {type: NodePort}             # where there are no load balancers',
      '      # dns: none                             # auto, kube-dns, coredns; none: you lead .global to istiocoredns yourself',
    );
  }
  return `${lines.join('\n')}\n`;
}

function clusterNames(contexts: readonly string[]): string[] {
  const taken = new Set<string>();
  return contexts.map((context) => {
    // Clouds have long ones: arn:aws:eks:eu-west-1:1234:cluster/shop, gke_project_zone_shop.
    const last = context.split(/[/:@_]/).at(-1) ?? '';
    const plain = (text: string) =>
      text
        .toLowerCase()
        .replaceAll(/[^-a-z0-9.]+/g, '-')
        .replaceAll(/^[-.]+|[-.]+$/g, '');
    const whole = plain(context);
    const base =
      (whole.length <= 40
        ? whole
        : plain(last)
            .slice(0, 36)
            .replace(/[-.]+$/, '')) || 'cluster';
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}-${i}`;
    taken.add(name);
    return name;
  });
}

/** Quoted where YAML would take it for something else. */
function scalar(text: string): string {
  return /^[a-z][-a-z0-9_./@]*$/i.test(text) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text);
}
