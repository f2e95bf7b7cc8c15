// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../kube/client.ts';

/** Why a cluster could not be read: it refuses, or the connection broke off. undefined: it is a mistake of ours. */
export function whyUnread(error: unknown): string | undefined {
  const isOfCluster = error instanceof KubeError || (error instanceof Error && error.cause instanceof Error);
  return isOfCluster ? error.message : undefined;
}
