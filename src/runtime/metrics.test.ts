// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { CLUSTER_TYPE } from '../xds/session/type-urls.ts';
import type { StreamInfo } from '../xds/stream.ts';
import { createMetrics } from './metrics.ts';

test('types that a client makes up are one in the metrics', async () => {
  const metrics = createMetrics();
  const stream = {} as StreamInfo;
  const types = [
    CLUSTER_TYPE,
    CLUSTER_TYPE,
    ...Array.from({ length: 100 }, (_, i) => `type.googleapis.com/no.Type${i}`),
  ];
  for (const typeUrl of types) {
    metrics.xds({ kind: 'sent', stream, typeUrl, resources: 1, removed: 1, bytes: 10 });
    const received = { kind: 'acknowledged', typeUrl, nonce: '1', resources: [], latencyMs: 1 } as const;
    metrics.xds({ kind: 'received', stream, received });
  }
  const text = await metrics.registry.metrics();
  expect(text).toContain('isthmus_xds_pushes_total{type="Cluster"} 2\n');
  expect(text).toContain('isthmus_xds_pushed_resources_total{type="other"} 200\n');
  expect(text).not.toContain('Type1');
});
