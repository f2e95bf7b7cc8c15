// SPDX-License-Identifier: Apache-2.0
// networking.istio.io ProxyConfig: https://istio.io/latest/docs/reference/config/networking/proxy-config/
import type { Kind, MeshObject } from './kind.ts';
import { defaulted, type Infer, integer, mapOf, optional, struct, text } from './shape.ts';
import { labels } from './values.ts';

const spec = struct(
  {
    selector: optional(struct({ matchLabels: defaulted(labels, {}) })),
    concurrency: optional(integer({ max: 1_024 })),
    environmentVariables: defaulted(
      mapOf(text(), text({ pattern: /^[A-Za-z_][\w.-]*$/, what: 'the name of a variable' })),
      {},
    ),
    image: optional(
      struct({
        imageType: optional(text({ pattern: /^[a-z0-9][\w.-]*$/i, what: 'the suffix of an image tag, such as debug' })),
      }),
    ),
  },
  'How proxies of new pods run.',
);
export type ProxyConfigSpec = Infer<typeof spec>;
export type ProxyConfig = MeshObject<ProxyConfigSpec>;

export const PROXY_CONFIG: Kind<ProxyConfigSpec> = {
  group: 'networking.istio.io',
  kind: 'ProxyConfig',
  plural: 'proxyconfigs',
  singular: 'proxyconfig',
  shortNames: [],
  versions: ['v1beta1'],
  description: 'How proxies of new pods run.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
};
