// SPDX-License-Identifier: Apache-2.0
// The simulator against real Envoys: calls.yaml, and random requests in random meshes. Envoy is right by definition.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DecodedState } from '../src/envoy/simulate/decoded-state.ts';
import { type Call, type ClientTls, type HttpRequest, type Outcome, simulate } from '../src/envoy/simulate/simulate.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { anyMesh } from './scenarios/any-mesh.ts';
import { arbitraryRequest } from './scenarios/arbitrary-mesh.ts';
import { type CallCase, passed, readCall } from './scenarios/calls.ts';
import { findCases, loadCase, SCENARIOS } from './scenarios/goldens.ts';
import { LoopbackEnvoy, type RealOutcome } from './scenarios/loopback-envoy.ts';

const envoy = findEnvoy();
const FACTOR = rounds(1);
const MESHES = 8 * FACTOR;
const REQUESTS_PER_MESH = 40;

/** Whether what Envoy did is among what the simulator said that it may do. */
function agree(simulated: Outcome, real: RealOutcome): boolean {
  switch (simulated.kind) {
    case 'forward': {
      const possible = simulated.to.filter((to) => to.probability > 0);
      if (real.cluster !== undefined) return possible.some((to) => to.cluster === real.cluster);
      return real.status === 503 && possible.some((to) => to.upstream === undefined);
    }
    case 'redirect':
      return real.status === simulated.status && real.location === simulated.location && real.cluster === undefined;
    case 'respond':
      return real.status === simulated.status && real.cluster === undefined;
    case 'refuse':
    case 'unknown':
      return false;
  }
}

/** Without the messages behind it. */
function shown(outcome: Outcome): string {
  return JSON.stringify(outcome, (key, value: unknown) => (key === 'chosen' ? undefined : value));
}

/** Of a gateway's client; what leaves a sidecar's application is not opened there. */
function tlsOf({ direction, connection }: Call): ClientTls | undefined {
  return direction === 'gateway' ? connection.tls : undefined;
}

/** An HTTP connection manager decided. */
function isRouted(outcome: Outcome): boolean {
  return outcome.kind !== 'forward' || outcome.virtualHost !== undefined;
}

describe.skipIf(envoy === undefined)('calls.yaml on real Envoys', () => {
  const cases = findCases().flatMap((name) => {
    const file = join(SCENARIOS, name, 'calls.yaml');
    const calls = existsSync(file) ? (parse(readFileSync(file, 'utf8')) as CallCase[]) : [];
    return [...new Set(calls.map((call) => call.from))].map(
      (from) => [name, from, calls.filter((c) => c.from === from)] as const,
    );
  });

  test.each(cases)('%s, %s', async (name, from, calls) => {
    const proxy = loadCase(name).proxies.get(from)!;
    const state = new DecodedState(proxy.compiled.desired);
    const http = calls
      .map((c) => ({ ...readCall(c, proxy), upstream: c.upstream, passes: c }))
      .filter((c) => c.request && c.direction !== 'inbound');
    const simulated = http.map((call) => ({ call, outcome: passed(simulate(state, call), call.passes) }));
    // A connection that TCP passes on is not read by Envoy.
    const read = simulated.filter(({ outcome }) => !['refuse', 'unknown'].includes(outcome.kind) && isRouted(outcome));
    const closed = simulated.filter(
      ({ call, outcome }) => outcome.kind === 'refuse' && outcome.listener !== '' && tlsOf(call),
    );
    if (read.length === 0) return;
    const loopback = await LoopbackEnvoy.start(envoy!, proxy.compiled.desired);
    try {
      for (const { call, outcome } of read) {
        const shares = outcome.kind === 'forward' ? outcome.to.length : 1;
        const reached = new Set<string | undefined>();
        // Two shares of a half each: one of them stays unseen in 60 requests once in 2^59 times; a fifth, in 6 * 10^5.
        for (let i = 0; i < (shares > 1 ? 60 : 1); i++) {
          const real = await loopback.request(outcome.listener, call.request!, tlsOf(call));
          expect(agree(outcome, real), `${call.request!.path}: ${JSON.stringify(real)}, not ${shown(outcome)}`).toBe(
            true,
          );
          reached.add(real.cluster);
          if (call.upstream !== undefined && shares === 1) expect(real.asked).toBe(call.upstream);
        }
        expect(reached.size, call.request!.path).toBe(shares);
      }
      for (const { call, outcome } of closed) {
        const request = loopback.request(outcome.listener, call.request!, tlsOf(call));
        await expect(request, call.request!.authority).rejects.toThrow(/hang up|ECONNRESET|alert|disconnected/);
      }
    } finally {
      await loopback.stop();
    }
  });
});

function proxyOf(kind: MeshProxy['kind'], namespace: string, labels: Record<string, string>): MeshProxy {
  return meshProxy({ kind, namespace, labels });
}

const PROXIES = {
  outbound: proxyOf('sidecar', 'alpha', { app: 'reviews', version: 'v1' }),
  gateway: proxyOf('gateway', 'beta', { istio: 'ingressgateway' }),
} as const;

/** The proxy's resources in a random mesh, and the hosts that it has routes for; undefined without any. */
function compileIn(objects: readonly KubeObject[], direction: 'outbound' | 'gateway') {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'cluster1' });
  const { snapshot } = store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object })));
  const { desired, intent } = compileProxy(snapshot, PROXIES[direction], new CompileCache());
  const places = [...(intent.outbound?.httpPorts.values() ?? []), ...(intent.gateway?.httpPorts ?? [])];
  const hosts = places.flatMap(({ port, table, ...place }) => {
    const address = 'address' in place ? place.address : '';
    return [...table.hosts.values()].flatMap((h) => h.domains.map((domain) => ({ address, port, domain })));
  });
  return hosts.length === 0 ? undefined : { desired, hosts };
}

describe.skipIf(envoy === undefined)('random requests in random meshes', { timeout: 60_000 * FACTOR }, () => {
  test.each(['outbound', 'gateway'] as const)('%s', async (direction) => {
    const seed = 20260102;
    const meshes = fc
      .sample(anyMesh, { numRuns: MESHES * 20, seed })
      .filter((objects) => objects.some((o) => o.kind === 'VirtualService'));
    let used = 0;
    for (const [i, objects] of meshes.entries()) {
      if (used === MESHES) break;
      const compiled = compileIn(objects, direction);
      if (compiled === undefined) continue;
      used++;
      const { desired, hosts } = compiled;
      const state = new DecodedState(desired);
      const loopback = await LoopbackEnvoy.start(envoy!, desired);
      try {
        for (const draft of fc.sample(arbitraryRequest, { numRuns: REQUESTS_PER_MESH, seed: seed + i })) {
          const { address, port, domain } = hosts[draft.pick % hosts.length]!;
          const host = draft.stranger ? 'nobody.example.net' : domain.replace(/^\*/, 'a.b');
          const request: HttpRequest = {
            method: draft.method,
            scheme: 'http',
            authority: `${host}${draft.withPort ? `:${port}` : ''}`,
            path: draft.path,
            headers: draft.headers,
          };
          const outcome = simulate(state, {
            direction,
            connection: { address: address || '203.0.113.1', port },
            request,
          });
          const real = await loopback.request(`${address || '0.0.0.0'}_${port}`, request);
          const said = `mesh ${i}, port ${port}, ${JSON.stringify(request)}: Envoy ${JSON.stringify(real)}, simulator ${shown(outcome)}`;
          expect(agree(outcome, real), said).toBe(true);
        }
      } finally {
        await loopback.stop();
      }
    }
    expect(used).toBe(MESHES);
  });
});
