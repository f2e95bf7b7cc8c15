// SPDX-License-Identifier: Apache-2.0
// "Replicated control planes, connected by gateways": straight to the other cluster's gateway, and out by the egress
// gateway alone.
import type { DemoDocument, ExpectedAnswer, GatewayName } from '../document.ts';
import { addressOf } from '../evidence.ts';
import { SERVICE_ENTRIES } from './mesh-kinds.ts';

const CALL = 'curl -s httpbin.bar.global:8000/headers';

export const DOCUMENT_003: DemoDocument = {
  number: '003',
  title: 'to the other cluster by the egress gateway alone',
  clusters: 2,
  columns: { who: 'way', what: 'answer' },
  traffic: {
    kind: 'pod',
    caller: { namespace: 'foo', app: 'sleep' },
    callee: 'httpbin',
    ratePerSecond: 50,
    url: 'http://httpbin.bar.global:8000/headers',
    versionOf: (body) => (body.includes('"headers"') ? 'headers' : undefined),
  },
  acts: [
    { title: 'Install the mesh on both, below one root', lines: ['setup.sh', 1] },
    { title: 'Send .global names to the mesh’s DNS', lines: [2] },
    { title: 'sleep in cluster1, httpbin in cluster2', lines: [5, 6, 7, 8], podsReady: ['cluster2/bar'] },
    {
      title: 'A name for httpbin in cluster1: httpbin.bar.global',
      lines: [9, 10],
      firstAnswers: ['headers'],
    },
    {
      title: 'sleep calls it',
      lines: [11],
      counts: [{ who: 'straight', expected: by('ingress of cluster2') }],
    },
    {
      title: 'Out by the egress gateway, named by its address',
      lines: [12, 13],
      edit: {
        what: 'out by the egress gateway',
        context: 'cluster1',
        type: SERVICE_ENTRIES,
        namespace: 'foo',
        name: 'httpbin-bar',
        effect: {
          kind: 'begins',
          shows: (call, gateways) => addressOf(call) === gateways['egress of cluster1'],
        },
      },
      counts: [{ who: 'egress, by address', expected: by('egress of cluster1') }],
    },
    {
      title: 'Out by the egress gateway, named by its name',
      lines: [14],
      counts: [{ who: 'egress, by name', expected: by('egress of cluster1') }],
    },
  ],
  tips: () => `
Three things to try:

  1. Call httpbin in cluster2:
     kubectl --context cluster1 -n foo exec deploy/sleep -c sleep -- ${CALL}
  2. Follow the call from log to log, from sleep out by the egress gateway and in by cluster2's gateway:
     kubectl --context cluster1 -n foo logs deploy/sleep -c istio-proxy --tail 1
     kubectl --context cluster1 -n istio-system logs deploy/istio-egressgateway --tail 1
     kubectl --context cluster2 -n istio-system logs deploy/istio-ingressgateway --tail 1
  3. Take the egress gateway away, and call again: 503 as soon as it has drained (some seconds), never the direct way:
     kubectl --context cluster1 -n istio-system scale deploy/istio-egressgateway --replicas=0`,
};

function by(via: GatewayName): ExpectedAnswer[] {
  return [{ version: 'headers', share: 1, cluster: 'cluster2', via }];
}
