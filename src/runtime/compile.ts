// SPDX-License-Identifier: Apache-2.0
import { CompileCache, compileProxy } from '../pipeline.ts';
import type { ControlPlaneEndpoint } from '../xds/envoy-client.ts';
import type { Compile } from './mesh-engine.ts';

/** The compile stages with one cache of their own. `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
export function createCompile(secrets?: ControlPlaneEndpoint): Compile {
  const cache = new CompileCache(secrets === undefined ? {} : { secrets });
  return (snapshot, proxy) => compileProxy(snapshot, proxy, cache);
}
