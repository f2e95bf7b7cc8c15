// SPDX-License-Identifier: Apache-2.0

import { CLUSTERSET_ZONE } from '../../api/export-names.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Values } from '../values/values.ts';
import { buildCoreDnsAccess, COREDNS_ACCOUNT } from './access.ts';
import { namespaced, POD_SECURITY, RESTRICTED } from './metadata.ts';

const NAME = 'istiocoredns';
const SELECTOR = { app: NAME };
/** Not 53: the pod runs without the right to open ports below 1024. */
const DNS_PORT = 5_353;
const READY_PORT = 8_181;
const READY = { httpGet: { path: '/ready', port: READY_PORT }, timeoutSeconds: 3 };

export function buildCoreDns(values: Values): KubeObject[] {
  const { hub, tag, imagePullPolicy } = values.global;
  const { zone, resources } = values.istiocoredns;
  return [
    ...buildCoreDnsAccess(),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: namespaced(NAME, SELECTOR),
      spec: {
        selector: SELECTOR,
        ports: [
          { name: 'dns', port: 53, targetPort: DNS_PORT, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, targetPort: DNS_PORT, protocol: 'TCP' },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: namespaced(NAME, SELECTOR),
      spec: {
        replicas: 1,
        selector: { matchLabels: SELECTOR },
        template: {
          metadata: { labels: SELECTOR, annotations: { 'sidecar.istio.io/inject': 'false' } },
          spec: {
            serviceAccountName: COREDNS_ACCOUNT,
            securityContext: POD_SECURITY,
            containers: [
              {
                name: 'istio-coredns-plugin',
                image: `${hub}/pilot:${tag}`,
                imagePullPolicy,
                args: [
                  'dns',
                  '--zone',
                  zone,
                  '--zone',
                  CLUSTERSET_ZONE,
                  '--port',
                  String(DNS_PORT),
                  '--ready-port',
                  String(READY_PORT),
                ],
                ports: [
                  { name: 'dns', containerPort: DNS_PORT, protocol: 'UDP' },
                  { name: 'dns-tcp', containerPort: DNS_PORT, protocol: 'TCP' },
                ],
                startupProbe: { ...READY, periodSeconds: 1, failureThreshold: 3600 },
                readinessProbe: { ...READY, periodSeconds: 5 },
                resources: { requests: resources.requests },
                securityContext: RESTRICTED,
              },
            ],
          },
        },
      },
    },
  ];
}
