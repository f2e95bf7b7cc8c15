// SPDX-License-Identifier: Apache-2.0
// "Traffic shifting": from v1 of the reviews to v3, half of it first.
import type { DemoDocument, Edit, Effect } from '../document.ts';
import { VIRTUAL_SERVICES } from './mesh-kinds.ts';

const HOME = { cluster: 'cluster1' } as const;

export const DOCUMENT_004: DemoDocument = {
  number: '004',
  title: 'traffic shifted from one version to another by weights',
  clusters: 1,
  columns: { who: 'rule', what: 'reviews' },
  traffic: {
    kind: 'page',
    caller: { namespace: 'default', app: 'productpage' },
    callee: 'reviews',
    ratePerSecond: 100,
  },
  acts: [
    {
      title: 'Install the mesh; Bookinfo, with v1, v2 and v3 of the reviews',
      lines: ['setup.sh'],
      podsReady: ['cluster1/default'],
    },
    {
      title: 'All to v1: nobody sees stars',
      lines: [1],
      firstAnswers: ['v1'],
      counts: [{ who: 'all to v1', expected: [{ version: 'v1', share: 1, subset: 'v1', ...HOME }] }],
    },
    {
      title: 'Half of it to v3',
      lines: [2, 3],
      edit: editReviews('half to v3', { kind: 'begins', shows: ({ subset }) => subset === 'v3' }),
      counts: [
        {
          who: 'half to v3',
          expected: [
            { version: 'v1', share: 0.5, subset: 'v1', ...HOME },
            { version: 'v3', share: 0.5, subset: 'v3', ...HOME },
          ],
        },
      ],
    },
    {
      title: 'All to v3',
      lines: [4],
      edit: editReviews('all to v3', { kind: 'ends', shows: ({ subset }) => subset === 'v1' }),
      counts: [{ who: 'all to v3', expected: [{ version: 'v3', share: 1, subset: 'v3', ...HOME }] }],
    },
  ],
  explained: ['--from', 'productpage-v1', 'http://reviews:9080/reviews/0'],
  tips: ({ gateway }, bold) => `  ${bold('The page')}        ${new URL('/productpage', gateway).href}

Three things to try:

  1. Open the page and reload: every time the stars are ${bold('red')}, for v3 answers.
  2. Move the weight back to half and half, and reload again:
     kubectl --context cluster1 apply -f samples/bookinfo/networking/virtual-service-reviews-50-v3.yaml
  3. See which version the page's proxy asked:
     kubectl --context cluster1 logs deploy/productpage-v1 -c istio-proxy --tail 5 | grep -o 'outbound|9080|[^ ]*'`,
};

function editReviews(what: string, effect: Effect): Edit {
  return { what, context: 'cluster1', type: VIRTUAL_SERVICES, namespace: 'default', name: 'reviews', effect };
}
