// SPDX-License-Identifier: Apache-2.0
// A discovery server on loopback that gives one Envoy one state, and of what is on offer what it asks for.
import { startXdsServer, trustLoopback, type XdsServer } from '../../src/xds/server.ts';
import type { DesiredState, OfferedState } from '../../src/xds/types.ts';
import { plaintextBootstrap } from '../mesh/plaintext-bootstrap.ts';
import { MemoryBackend } from './memory-backend.ts';

export const NOBODY = { trustDomain: '', clusterName: '', namespace: '', serviceAccount: '', podName: '', podUid: '' };

export class MemoryDiscovery {
  readonly #ending = new AbortController();
  readonly #backend = new MemoryBackend();
  #server!: XdsServer;

  static async start(desired: DesiredState, offered: OfferedState): Promise<MemoryDiscovery> {
    const discovery = new MemoryDiscovery();
    discovery.#backend.setState(desired, offered);
    const listen = { host: '127.0.0.1', port: 0 };
    const options = { listen, authenticator: trustLoopback(NOBODY), ads: discovery.#backend };
    discovery.#server = await startXdsServer(options, discovery.#ending.signal);
    return discovery;
  }

  bootstrap(): Record<string, unknown> {
    return plaintextBootstrap(this.#server.port);
  }

  refusals(): readonly string[] {
    return this.#backend.nacks.map(({ resources, message }) => `${[...resources.keys()]}: ${message}`);
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#server.close();
  }
}
