// SPDX-License-Identifier: Apache-2.0
// What proxies add to a call: the same request from a pod to a service, with nothing, two sidecars, or two sidecars and a
// gateway between.
import type { TestSandbox } from '../test/fixture/sandbox.ts';

/** Paced requests on one connection; prints the median in milliseconds. Runs inside a pod. */
const CLIENT = `
const http = require('node:http');
const [url, count, everyMs] = [process.argv[1], 400, 5];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const times = [];
const ask = () => new Promise((resolve, reject) => {
  const at = performance.now();
  http.get(url, { agent }, (r) => { r.resume(); r.on('end', () => r.statusCode === 200 ? resolve(performance.now() - at) : reject(new Error('HTTP ' + r.statusCode))); }).on('error', reject);
});
(async () => {
  for (let i = 0; i < 50; i++) await ask();
  for (let i = 0; i < count; i++) { const next = performance.now() + everyMs; times.push(await ask()); await new Promise((r) => setTimeout(r, Math.max(0, next - performance.now()))); }
  console.log(times.sort((a, b) => a - b)[count / 2]);
})();`;

/** Milliseconds by path; needs seed 000's rules in force. */
export async function measureLatency(sandbox: TestSandbox): Promise<{ direct: number } & Record<string, number>> {
  const kubectl = (...args: string[]): Promise<string> => sandbox.kubectl('--context', 'cluster1', ...args);
  await kubectl('create', 'namespace', 'plain');
  await kubectl('-n', 'plain', 'apply', '-f', 'samples/sleep/sleep.yaml');
  await kubectl('apply', '-f', 'samples/sleep/sleep.yaml');
  await kubectl('-n', 'plain', 'create', 'deployment', 'details', '--image=istio/examples-bookinfo-details-v1:1.10.0');
  for (const [namespace, name] of [
    ['plain', 'sleep'],
    ['plain', 'details'],
    ['default', 'sleep'],
  ] as const) {
    await kubectl('-n', namespace, 'wait', '--for=condition=Available', `deploy/${name}`, '--timeout=60s');
  }
  const ip = await kubectl('-n', 'plain', 'get', 'pod', '-l', 'app=details', '-o', 'jsonpath={.items[0].status.podIP}');
  const ask = async (namespace: string, url: string): Promise<number> =>
    Number(await kubectl('-n', namespace, 'exec', 'deploy/sleep', '-c', 'sleep', '--', 'node', '-e', CLIENT, url));
  return {
    direct: await ask('plain', `http://${ip}:9080/details/0`),
    'two sidecars': await ask('default', 'http://details:9080/details/0'),
    'two sidecars and a gateway': await ask('default', 'http://reviews.default.global:9080/health'),
  };
}
