// SPDX-License-Identifier: Apache-2.0
// What a proxy has been told of a service's endpoints, asked of its own Envoy.
import type { TestSandbox } from '../fixture/sandbox.ts';

export interface ProxyPlace {
  readonly context: string;
  readonly namespace: string;
  /** `deploy/sleep` */
  readonly workload: string;
}

/** Endpoint (`10.1.0.13:5000`) -> its weight, of one of the proxy's clusters. */
export async function readEndpointWeights(
  sandbox: TestSandbox,
  { context, namespace, workload }: ProxyPlace,
  cluster: string,
): Promise<Record<string, number>> {
  const ask = "http.get({ socketPath: '/tmp/envoy-admin.sock', path: '/clusters' }, (r) => r.pipe(process.stdout))";
  const text = await sandbox.kubectl(
    ...['--context', context, 'exec', '-n', namespace, workload, '-c', 'istio-proxy', '--', 'node', '-e', ask],
  );
  const weights: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const [name, endpoint = '', what, value] = line.split('::');
    if (name === cluster && what === 'weight') weights[endpoint] = Number(value);
  }
  return weights;
}
