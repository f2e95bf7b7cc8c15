// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import type { ResourceRequest } from '../rest/context.ts';

export function trackCreate(object: KubeObject, _request: ResourceRequest, _manager: string): KubeObject {
  return object;
}
export function trackUpdate(
  object: KubeObject,
  _old: KubeObject,
  _request: ResourceRequest,
  _manager: string,
): KubeObject {
  return object;
}
