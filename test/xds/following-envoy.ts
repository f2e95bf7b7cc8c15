// SPDX-License-Identifier: Apache-2.0
// A real Envoy that is given one state after another over xDS, and says of each what it refuses. Listeners are not bound
// to their ports, so that it needs no ports of the machine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { startXdsServer, trustLoopback, type XdsServer } from '../../src/xds/server.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
} from '../../src/xds/session/type-urls.ts';
import type { DesiredState, XdsNack, XdsResource } from '../../src/xds/types.ts';
import { CERTIFICATES } from '../fields/value-pools.ts';
import { plaintextBootstrap } from '../mesh/plaintext-bootstrap.ts';
import { type EnvoyProcess, startEnvoy } from './envoy-process.ts';
import { MemoryBackend } from './memory-backend.ts';
import { NOBODY } from './memory-discovery.ts';

const QUIET_MS = 200;
/** Listeners that go would stay for ten minutes, with their routes and all that those need. */
const DRAIN_AT_ONCE = ['--drain-time-s', '1'];
const AWAITED = [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE];

export class FollowingEnvoy {
  readonly #dir = mkdtempSync(join(tmpdir(), 'isthmus-following-'));
  /** As long as CERTIFICATES, so that one can be put in the other's place in what is serialized. */
  readonly #certificates = mkdtempSync('/tmp/');
  readonly #ending = new AbortController();
  readonly #backend = new MemoryBackend();
  readonly #adapted = new WeakMap<XdsResource, XdsResource>();
  #heard = '';
  #heardAt = 0;
  #server: XdsServer | undefined;
  #envoy: EnvoyProcess | undefined;

  static async start(envoyPath: string): Promise<FollowingEnvoy> {
    const following = new FollowingEnvoy();
    following.#writeCertificates();
    following.#server = await startXdsServer(
      {
        listen: { host: '127.0.0.1', port: 0 },
        authenticator: trustLoopback(NOBODY),
        ads: following.#backend,
        // Clusters whose names nobody resolves stay warming; what comes behind them is judged all the same.
        warmingLimitMs: 20,
      },
      following.#ending.signal,
    );
    const bootstrap = plaintextBootstrap(following.#server.port);
    following.#envoy = startEnvoy(envoyPath, following.#dir, bootstrap, {}, DRAIN_AT_ONCE);
    await following.#until(() => following.#backend.open > 0);
    return following;
  }

  /** What Envoy refuses of a state, once it has taken or refused all of it. */
  async take(desired: DesiredState): Promise<readonly XdsNack[]> {
    this.#backend.nacks.length = 0;
    const state = new Map(desired);
    for (const typeUrl of [LISTENER_TYPE, CLUSTER_TYPE]) {
      const resources = [...(desired.get(typeUrl) ?? [])];
      state.set(typeUrl, new Map(resources.map(([name, resource]) => [name, this.#adapt(resource)])));
    }
    this.#heardAt = performance.now();
    this.#backend.setState(state);
    await this.#until(() => this.#backend.nacks.length > 0 || this.#isSettled(state));
    return this.#backend.nacks;
  }

  async stop(): Promise<void> {
    await this.#envoy?.stop();
    this.#ending.abort();
    await this.#server?.close();
    for (const folder of [this.#dir, this.#certificates]) rmSync(folder, { recursive: true, force: true });
  }

  /** Envoy may not have asked yet for what new listeners need, so silence is a part of it. */
  #isSettled(state: DesiredState): boolean {
    const types = this.#server!.streams()[0]?.types ?? [];
    const heard = JSON.stringify(types);
    if (heard !== this.#heard) {
      this.#heard = heard;
      this.#heardAt = performance.now();
    }
    let isAll = true;
    for (const typeUrl of AWAITED) {
      const wanted = countWanted(state, typeUrl);
      const type = types.find((t) => t.typeUrl === typeUrl);
      if (type === undefined ? wanted > 0 : type.unsent > 0 || type.outstanding) return false;
      if (type !== undefined && type.held !== wanted) isAll = false;
    }
    return isAll || performance.now() - this.#heardAt > QUIET_MS;
  }

  async #until(isDone: () => boolean): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (!isDone()) {
      if (performance.now() > deadline) {
        throw new Error(
          `Envoy did not take a state: ${JSON.stringify(this.#server!.streams()[0]?.types)}\n${this.#envoy?.log().slice(-2000)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #adapt(resource: XdsResource): XdsResource {
    const known = this.#adapted.get(resource);
    if (known !== undefined) return known;
    const value = Buffer.from(resource.typeUrl === LISTENER_TYPE ? withoutPort(resource.value) : resource.value);
    for (let at = value.indexOf(CERTIFICATES); at >= 0; at = value.indexOf(CERTIFICATES, at)) {
      at += value.write(this.#certificates, at);
    }
    const made = { ...resource, value };
    this.#adapted.set(resource, made);
    return made;
  }

  #writeCertificates(): void {
    const { privateKey, publicKey } = generateKeyPair();
    const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
    const request = { subject: { commonName: 'x' }, publicKey, selfKey: privateKey, notBefore, notAfter };
    const pem = issueCertificate(request);
    const files = { 'chain.pem': pem, 'ca.pem': pem, 'key.pem': privateKeyPem(privateKey) };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#certificates, name), text);
  }
}

/** Nobody asks for the endpoints of clusters that are not there, which are on offer. */
function countWanted(state: DesiredState, typeUrl: string): number {
  const names = [...(state.get(typeUrl)?.keys() ?? [])];
  return typeUrl === ENDPOINT_TYPE ? names.filter((name) => state.get(CLUSTER_TYPE)?.has(name)).length : names.length;
}

function withoutPort(value: Uint8Array): Uint8Array {
  const listener = fromBinary(ListenerSchema, value);
  listener.bindToPort = false;
  return toBinary(ListenerSchema, listener);
}
