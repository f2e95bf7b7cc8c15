// SPDX-License-Identifier: Apache-2.0
import type { SecretSource } from '../envoy/tls.ts';
import { CompileCache, compileProxy } from '../pipeline.ts';
import type { Compile } from './mesh-engine.ts';

/** The compile stages with one cache of their own. `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
export function createCompile(secrets?: SecretSource): Compile {
  const cache = new CompileCache(secrets === undefined ? {} : { secrets });
  return (snapshot, proxy) => compileProxy(snapshot, proxy, cache);
}
