// SPDX-License-Identifier: Apache-2.0
import type { WorkloadMode } from '../api/telemetry.ts';
import type { TelemetryIntent } from './telemetry-types.ts';

/** Requests that a workload makes, and those that it serves. */
export type Side = keyof Pick<TelemetryIntent, 'client' | 'server'>;

export function concerns(mode: WorkloadMode, side: Side): boolean {
  return mode === 'CLIENT_AND_SERVER' || mode === (side === 'client' ? 'CLIENT' : 'SERVER');
}
