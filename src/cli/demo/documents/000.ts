// SPDX-License-Identifier: Apache-2.0
// "Version routing in a multicluster mesh": the first demo, of `make demo`. It needs no kubectl: what the document's lines
// apply, it applies through the Kubernetes API.
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DemoDocument } from '../document.ts';
import { runIsthmus } from '../isthmus-command.ts';
import type { Stage } from '../stage.ts';
import { VIRTUAL_SERVICES } from './mesh-kinds.ts';

const VIA_CLUSTER2 = { cluster: 'cluster2', via: 'ingress of cluster2' } as const;

export const DOCUMENT_000: DemoDocument = {
  number: '000',
  title: 'Bookinfo routed by version between two clusters',
  clusters: 2,
  columns: { who: 'user', what: 'reviews' },
  traffic: {
    kind: 'page',
    caller: { namespace: 'default', app: 'productpage' },
    callee: 'reviews',
    ratePerSecond: 20,
    user: 'jason',
  },
  acts: [
    { title: 'Make one root certificate and an intermediate for each cluster', work: makeCertificates },
    { title: 'Install the mesh on both', work: installMesh },
    {
      title: 'Send .global names to the mesh’s DNS',
      work: ({ clusters }) => onAll(clusters.map((cluster) => cluster.sendGlobalNamesToMesh())),
    },
    {
      title: 'Bookinfo: page, details, reviews v1 | ratings, reviews v2, v3',
      work: deployBookinfo,
    },
    {
      title: 'Open the page at cluster1’s gateway; nobody sees stars yet',
      work: ({ clusters }) => clusters[0]!.applySample('bookinfo/networking/bookinfo-gateway.yaml'),
      firstAnswers: ['v1'],
    },
    { title: 'Tell cluster1 of cluster2’s reviews, and both of the versions', work: tellOfReviews },
    {
      title: 'Route jason to v2 and v3, half and half, everybody else to v1',
      work: ({ clusters }) => clusters[0]!.applySample('bookinfo/multicluster/reviews-route.yaml'),
      edit: {
        what: 'jason to v2 and v3',
        context: 'cluster1',
        type: VIRTUAL_SERVICES,
        namespace: 'default',
        name: 'reviews',
        effect: { kind: 'begins', shows: ({ subset }) => subset === 'v2' || subset === 'v3' },
      },
    },
    {
      title: 'Ask as jason, and as often as nobody',
      counts: [
        {
          who: 'jason',
          user: 'jason',
          expected: [
            { version: 'v2', share: 0.5, subset: 'v2', ...VIA_CLUSTER2 },
            { version: 'v3', share: 0.5, subset: 'v3', ...VIA_CLUSTER2 },
          ],
        },
        { who: 'nobody', expected: [{ version: 'v1', share: 1, subset: 'v1', cluster: 'cluster1' }] },
      ],
    },
  ],
  explained: [
    ...['--from', 'productpage-v1', '--cluster', 'cluster1'],
    ...['GET', 'http://reviews:9080/reviews/0', '-H', 'end-user: jason'],
  ],
  tips: ({ gateway }, bold) => `  ${bold('The page')}        ${new URL('/productpage', gateway).href}

Three things to try:

  1. Open the page, sign in as ${bold('jason')} (any password) and reload: black and red stars come from cluster2.
  2. See who called whom, over which TLS:
     kubectl --context cluster1 logs deploy/productpage-v1 -c istio-proxy --tail 5
  3. Send jason to the red stars alone, and reload the page:
     kubectl --context cluster1 patch virtualservice reviews --type=json -p \\
       '[{"op":"replace","path":"/spec/http/0/route/0/weight","value":0},{"op":"replace","path":"/spec/http/0/route/1/weight","value":100}]'`,
};

async function makeCertificates({ clusters, kubeconfig, signal }: Stage): Promise<void> {
  const dir = join(dirname(kubeconfig), 'certs');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  try {
    await runIsthmus(['certs', '--out', dir, '--clusters', clusters.map(({ context }) => context).join(',')], signal);
    await onAll(clusters.map((cluster) => cluster.putCertificates(join(dir, cluster.context))));
  } finally {
    // The clusters have them; a CA's key should not lie about.
    rmSync(dir, { recursive: true, force: true });
  }
}

async function installMesh({ clusters, kubeconfig, signal }: Stage): Promise<void> {
  await onAll(
    clusters.map(({ context }) =>
      runIsthmus(['install', '--kubeconfig', kubeconfig, '--context', context, '--wait'], signal),
    ),
  );
}

async function deployBookinfo({ clusters, signal }: Stage, detail: (text: string) => void): Promise<void> {
  await onAll(
    clusters.map(async (cluster) => {
      await cluster.injectDefaultNamespace();
      await cluster.applySample(`bookinfo/multicluster/${cluster.context}.yaml`);
      await cluster.waitForPods('default', detail, signal);
    }),
  );
  detail('every pod has its Envoy');
}

async function tellOfReviews({ clusters }: Stage): Promise<void> {
  const address = await clusters[1]!.ingressAddress();
  if (address === undefined) throw new Error('istio-ingressgateway in cluster2 has no load balancer address yet');
  await clusters[0]!.applySample('bookinfo/multicluster/reviews-remote.yaml', { CLUSTER2_GW_ADDR: address });
  await onAll(clusters.map((cluster) => cluster.applySample('bookinfo/multicluster/reviews-subsets.yaml')));
}

async function onAll(work: readonly Promise<unknown>[]): Promise<void> {
  await Promise.all(work);
}
