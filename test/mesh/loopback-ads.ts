// SPDX-License-Identifier: Apache-2.0
import type { MeshEngine } from '../../src/runtime/mesh-engine.ts';
import { AdsBackend, type AdsBackendOptions } from '../../src/runtime/streams/ads-backend.ts';
import { startXdsServer, trustLoopback, type XdsServer } from '../../src/xds/server.ts';
import type { XdsEvent } from '../../src/xds/stream.ts';

/** The cluster of everybody who connects. */
export const CLUSTER = 'c1';

export interface LoopbackAdsOptions
  extends Pick<AdsBackendOptions, 'onRefusal'>,
    Partial<Pick<AdsBackendOptions, 'onPatches' | 'secrets'>> {
  readonly engine: MeshEngine;
  /** 0: any free one. */
  readonly port?: number;
  readonly observe?: (event: XdsEvent) => void;
  readonly onError?: () => void;
}

/** Serves an engine to Envoys on loopback in plaintext; whoever connects is believed. */
export function startLoopbackAds(options: LoopbackAdsOptions, signal: AbortSignal): Promise<XdsServer> {
  const { port = 0, observe, onError, ...backend } = options;
  const onRefusalError = (error: Error) => {
    throw error;
  };
  const nobody = { namespace: '', serviceAccount: '', podName: '', podUid: '' };
  return startXdsServer(
    {
      listen: { host: '127.0.0.1', port },
      authenticator: trustLoopback({ trustDomain: 'cluster.local', clusterName: CLUSTER, ...nobody }),
      ads: new AdsBackend({
        ...backend,
        onRefusalError,
        trustDomain: 'cluster.local',
        cluster: CLUSTER,
        identity: 'node',
      }),
      ...(observe && { observe }),
      ...(onError && { onError }),
    },
    signal,
  );
}
