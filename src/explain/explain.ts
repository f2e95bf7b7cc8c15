// SPDX-License-Identifier: Apache-2.0
// The way of one request through the clusters, read off the resources that the proxies on it are given.
import type { AskedRequest } from './asked.ts';
import { describeRequest } from './asked.ts';
import type { Caller } from './callers.ts';
import { gatherEndings, sayVerdict } from './endings.ts';
import type { Mesh } from './mesh.ts';
import type { Path } from './path.ts';
import { Walk } from './walk.ts';

export interface Question {
  readonly from: Caller;
  readonly request: AskedRequest;
}

/** From an application, or, where the caller is a gateway, from whoever comes to it from outside. Throws nothing. */
export function explain(mesh: Mesh, { from, request }: Question): Path {
  const walk = new Walk(mesh);
  const at = mesh.placeOf(from.cluster, from.pod);
  const leg = at.proxy === 'gateway' ? walk.enter(from, request) : walk.leave(from, request);
  const endings = gatherEndings(leg);
  return {
    from: at,
    request: describeRequest(request),
    leg,
    endings,
    verdict: sayVerdict(endings, from.cluster.id),
    used: walk.used,
  };
}
