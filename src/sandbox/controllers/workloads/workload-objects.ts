// SPDX-License-Identifier: Apache-2.0
// The members of StatefulSets, DaemonSets and their revisions that controllers read or write.
import type { LabelSelector } from '../../../kube/label-selector.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { Condition, PodTemplate } from '../objects.ts';
import type { PersistentVolumeClaim } from '../storage/storage-objects.ts';

/** One state of a workload's template. */
export interface ControllerRevision extends KubeObject {
  /** A strategic merge patch that brings the template back. */
  data: { spec: { template: PodTemplate & { $patch?: string } } };
  revision: number;
}

interface RevisionStatus {
  observedGeneration?: number;
  collisionCount?: number;
  conditions?: Condition[];
}

export interface StatefulSet extends KubeObject {
  spec: {
    replicas?: number;
    serviceName?: string;
    selector: LabelSelector;
    template: PodTemplate;
    podManagementPolicy?: string;
    updateStrategy?: { type?: string; rollingUpdate?: { partition?: number; maxUnavailable?: number | string } };
    revisionHistoryLimit?: number;
    minReadySeconds?: number;
    volumeClaimTemplates?: PersistentVolumeClaim[] | null;
    persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string; whenScaled?: string };
    ordinals?: { start?: number };
  };
  status?: StatefulSetStatus;
}

export interface StatefulSetStatus extends RevisionStatus {
  replicas: number;
  readyReplicas?: number;
  availableReplicas: number;
  currentReplicas?: number;
  updatedReplicas?: number;
  currentRevision?: string;
  updateRevision?: string;
}

export interface DaemonSet extends KubeObject {
  spec: {
    selector: LabelSelector;
    template: PodTemplate;
    updateStrategy?: {
      type?: string;
      rollingUpdate?: { maxUnavailable?: number | string; maxSurge?: number | string };
    };
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
  };
  status?: DaemonSetStatus;
}

export interface DaemonSetStatus extends RevisionStatus {
  currentNumberScheduled: number;
  numberMisscheduled: number;
  desiredNumberScheduled: number;
  numberReady: number;
  updatedNumberScheduled?: number;
  numberAvailable?: number;
  numberUnavailable?: number;
}
