// SPDX-License-Identifier: Apache-2.0
// "Cluster-aware service routing": cluster1's control plane serves both clusters, and each proxy gets the endpoints of its
// own network and the gateways of the others (split-horizon EDS).
import { CONFIG_MAPS } from '../../../kube/resources.ts';
import type { DemoDocument, ExpectedAnswer } from '../document.ts';

const CALL = 'kubectl --context cluster1 -n sample exec deploy/sleep -c sleep -- curl -s helloworld.sample:5000/hello';

export const DOCUMENT_001: DemoDocument = {
  number: '001',
  title: 'one control plane for two clusters that share no network',
  clusters: 2,
  columns: { who: 'when', what: 'helloworld' },
  traffic: {
    kind: 'pod',
    caller: { namespace: 'sample', app: 'sleep' },
    callee: 'helloworld',
    ratePerSecond: 50,
    url: 'http://helloworld.sample:5000/hello',
    versionOf: (body) => /^Hello version: (v\d)/.exec(body)?.[1],
  },
  acts: [
    { title: 'Generate cluster1’s manifest: a whole control plane', lines: ['setup.sh', 1, 2, 3] },
    { title: 'Install it', lines: [4], podsReady: ['cluster1/istio-system'] },
    { title: 'A gateway for all of the mesh: cluster-aware-gateway', lines: [5, 6] },
    { title: 'Generate and install cluster2’s: CA, injector, gateway', lines: [7, 8, 9, 10] },
    { title: 'Tell cluster1 of network2’s gateway, by kubectl edit', lines: [11, 12, 13, 14, 15, 16, 17] },
    {
      title: 'Watch cluster2: its gateway becomes ready',
      lines: [18, 19, 20],
      podsReady: ['cluster2/istio-system'],
    },
    {
      title: 'helloworld v2 in cluster2, v1 and sleep in cluster1',
      lines: [21, 22, 23, 24, 25, 26, 27, 28, 29],
      podsReady: ['cluster1/sample', 'cluster2/sample'],
      firstAnswers: ['v1', 'v2'],
    },
    {
      title: 'sleep asks, and both clusters answer',
      lines: [30, 31],
      counts: [{ who: 'one pod each', expected: shares(0.5) }],
    },
    {
      title: 'Past the document: network2’s gateway by port 15443',
      lines: [
        'kubectl --context cluster1 -n istio-system get cm istio -o yaml | sed "s/port: 443/port: 15443/" | kubectl --context cluster1 replace -f -',
      ],
      edit: {
        what: 'network2 by port 15443',
        context: 'cluster1',
        type: CONFIG_MAPS,
        namespace: 'istio-system',
        name: 'istio',
        effect: {
          kind: 'begins',
          shows: (call, gateways) => call.upstreamHost === `${gateways['ingress of cluster2']}:15443`,
        },
      },
    },
    {
      title: 'Past the document: three pods of v2',
      lines: [
        'kubectl --context cluster2 -n sample scale deployment helloworld-v2 --replicas=3',
        'kubectl --context cluster2 -n sample rollout status deployment helloworld-v2',
      ],
      counts: [{ who: 'three of v2', expected: shares(0.25) }],
    },
  ],
  tips: () => `
Three things to try:

  1. Ask a few times, and see who was asked: a pod of cluster1 by its own address, or network2's gateway:
     ${CALL}
     kubectl --context cluster1 -n sample logs deploy/sleep -c istio-proxy --tail 5
  2. Take v1 away: all requests go to cluster2, and none is lost:
     kubectl --context cluster1 -n sample scale deployment helloworld-v1 --replicas=0
  3. See what the control plane knows of the networks, and change it:
     kubectl --context cluster1 -n istio-system get configmap istio -o jsonpath='{.data.meshNetworks}'
     kubectl --context cluster1 -n istio-system edit configmap istio`,
};

function shares(ofV1: number): ExpectedAnswer[] {
  return [
    { version: 'v1', share: ofV1, cluster: 'cluster1' },
    { version: 'v2', share: 1 - ofV1, cluster: 'cluster2', via: 'ingress of cluster2' },
  ];
}
