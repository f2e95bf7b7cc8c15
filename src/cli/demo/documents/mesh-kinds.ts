// SPDX-License-Identifier: Apache-2.0
// The mesh's kinds that the demos edit, as resources of the API server.
import type { ResourceType } from '../../../kube/types.ts';

const resource = (plural: string, kind: string): ResourceType => ({
  group: 'networking.istio.io',
  version: 'v1',
  resource: plural,
  kind,
  namespaced: true,
});

export const VIRTUAL_SERVICES = resource('virtualservices', 'VirtualService');
export const SERVICE_ENTRIES = resource('serviceentries', 'ServiceEntry');
