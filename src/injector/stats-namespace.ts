// SPDX-License-Identifier: Apache-2.0
// Envoy gives metrics to Prometheus as `envoy_NAME`, but for those in a namespace of an extension's own. Istio's metrics
// have names that every dashboard knows, so they are counted in such a namespace: that of Wasm extensions, which Envoy
// knows as soon as there is one. This one does nothing (docs/decisions/0026).

type Json = Record<string, unknown>;

/** A WebAssembly module that exports what Envoy asks of one (memory, malloc, its ABI's version) and has no code. */
const EMPTY_MODULE =
  'AGFzbQEAAAABCQJgAABgAX8BfwMDAgABBQMBAAAHLQMGbWVtb3J5AgAXcHJveHlfYWJpX3ZlcnNpb25fMF8yXzEAAAZtYWxsb2MAAQoJAgIACwQAQQAL';

/** For `bootstrap_extensions`. */
export function statsNamespace(): Json {
  return {
    name: 'envoy.bootstrap.wasm',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.wasm.v3.WasmService',
      // On the main thread alone: workers have no engine.
      singleton: true,
      config: {
        name: 'stats-namespace',
        vm_config: { runtime: 'envoy.wasm.runtime.v8', code: { local: { inline_bytes: EMPTY_MODULE } } },
      },
    },
  };
}
