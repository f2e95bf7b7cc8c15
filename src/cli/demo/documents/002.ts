// SPDX-License-Identifier: Apache-2.0
// "Managing a multicluster deployment": two control planes below one root; names of the other cluster, and routes to it.
import type { DemoDocument } from '../document.ts';
import { VIRTUAL_SERVICES } from './mesh-kinds.ts';

const VIA_CLUSTER2 = { cluster: 'cluster2', via: 'ingress of cluster2' } as const;
const HTTPBIN = 'httpbin.app2.global:8000/headers';

export const DOCUMENT_002: DemoDocument = {
  number: '002',
  title: 'names of the other cluster, and routes to it by user',
  clusters: 2,
  columns: { who: 'user', what: 'helloworld' },
  traffic: {
    kind: 'pod',
    caller: { namespace: 'hello', app: 'sleep' },
    callee: 'helloworld',
    ratePerSecond: 50,
    user: 'jason',
    url: 'http://helloworld.hello:5000/hello',
    versionOf: (body) => /^Hello version: (v\d)/.exec(body)?.[1],
  },
  acts: [
    { title: 'A certificate authority below one root in each cluster', lines: ['setup.sh', 1, 2] },
    { title: 'Generate the control plane once, apply it to each', lines: [3] },
    { title: 'Send .global names to the mesh’s DNS', lines: [4] },
    { title: 'sleep in cluster1, httpbin in cluster2', lines: [6, 7], podsReady: ['cluster1/app1', 'cluster2/app2'] },
    { title: 'A name for httpbin in cluster1: httpbin.app2.global', lines: [8, 9, untilAnswers(HTTPBIN), 10, 11] },
    {
      title: 'helloworld: v1 in cluster1, v2 and v3 in cluster2',
      lines: [12, 13],
      podsReady: ['cluster1/hello', 'cluster2/hello'],
      firstAnswers: ['v1'],
    },
    { title: 'A name for cluster2’s helloworld, and the versions', lines: [14, 15, 16] },
    {
      title: 'Route jason to v2 (70 %) and v3 (30 %), everybody else to v1',
      lines: [17],
      edit: {
        what: 'jason to v2 and v3',
        context: 'cluster1',
        type: VIRTUAL_SERVICES,
        namespace: 'hello',
        name: 'helloworld',
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
            { version: 'v2', share: 0.7, subset: 'v2', ...VIA_CLUSTER2 },
            { version: 'v3', share: 0.3, subset: 'v3', ...VIA_CLUSTER2 },
          ],
        },
        { who: 'nobody', expected: [{ version: 'v1', share: 1, subset: 'v1', cluster: 'cluster1' }] },
      ],
    },
  ],
  tips: (_stage, bold) => `
Three things to try:

  1. Ask as ${bold('jason')}, a few times, and as nobody:
     kubectl --context cluster1 -n hello exec deploy/sleep -c sleep -- curl -s -H 'end-user: jason' helloworld.hello:5000/hello
     kubectl --context cluster1 -n hello exec deploy/sleep -c sleep -- curl -s helloworld.hello:5000/hello
  2. Call the other cluster by its name, and see the way in the log:
     kubectl --context cluster1 -n app1 exec deploy/sleep -c sleep -- curl -s ${HTTPBIN}
     kubectl --context cluster1 -n app1 logs deploy/sleep -c istio-proxy --tail 1
  3. See which names the mesh's DNS has:
     kubectl --context cluster1 -n istio-system logs deploy/istiocoredns -c istio-coredns-plugin --tail 5`,
};

/** A name and a route take a moment; the document's own call is made once. */
function untilAnswers(url: string): string {
  return [
    '# until the name answers',
    `for try in $(seq 100); do kubectl --context cluster1 exec $SLEEP_POD -n app1 -c sleep -- curl -sf -m 3 ${url} && break; sleep 0.1; done`,
  ].join('\n');
}
