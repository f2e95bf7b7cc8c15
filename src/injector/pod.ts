// SPDX-License-Identifier: Apache-2.0
// The part of core/v1 Pod that the injector reads and writes.
import type { KubeObject } from '../kube/types.ts';

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  env?: readonly Record<string, unknown>[];
  ports?: { containerPort?: number; name?: string; protocol?: string }[];
  securityContext?: Record<string, unknown>;
  [member: string]: unknown;
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: { name: string; [member: string]: unknown }[];
  hostNetwork?: boolean;
  dnsPolicy?: string;
  dnsConfig?: { searches?: string[]; [member: string]: unknown };
  securityContext?: Record<string, unknown>;
  serviceAccountName?: string;
  terminationGracePeriodSeconds?: number;
  [member: string]: unknown;
}

export interface Pod extends KubeObject {
  spec: PodSpec;
  status?: { podIP?: string; phase?: string; [member: string]: unknown };
}
