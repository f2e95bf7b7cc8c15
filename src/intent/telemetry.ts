// SPDX-License-Identifier: Apache-2.0
// What is told of a proxy's requests: the mesh's settings.
import type { MeshConfig } from '../api/mesh-config.ts';
import type { LogIntent, MetricsIntent, SideTelemetry, TelemetryIntent } from './types.ts';

export const ALL_METRICS: MetricsIntent = { off: [], edits: {} };

export function buildTelemetry(mesh: MeshConfig): TelemetryIntent {
  const side: SideTelemetry = { logs: defaultLogs(mesh), metrics: ALL_METRICS, tracing: undefined };
  return { client: side, server: side };
}

function defaultLogs(mesh: MeshConfig): LogIntent[] {
  if (mesh.accessLogFile === '') return [];
  return [{ sink: { kind: 'file', path: mesh.accessLogFile }, format: undefined, filter: undefined }];
}
