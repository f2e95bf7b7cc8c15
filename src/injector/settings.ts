// SPDX-License-Identifier: Apache-2.0
// What `install` decided for the proxies of one cluster: kept in ConfigMap istio-sidecar-injector, key `settings`.
import { ADS_ADDRESS } from '../xds/envoy-client.ts';

export interface InjectorSettings {
  readonly proxyImage: string;
  readonly imagePullPolicy: string;
  /** '' where only another cluster's control plane knows it. */
  readonly clusterId: string;
  /** '' where the mesh has one network only. */
  readonly network: string;
  readonly dnsDomain: string;
  readonly adsAddress: string;
  readonly excludeOutboundBy: 'uid' | 'mark';
  /** The proxy starts before the application and ends after it: Kubernetes 1.30 and later. */
  readonly nativeSidecars: boolean;
  /** How long a pod that ends goes on serving, so that its clients learn of it. */
  readonly drainSeconds: number;
  /** Envoy's worker threads. */
  readonly concurrency: number;
  readonly logLevel: string;
  readonly resources: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Pods of the cluster have IPv6 addresses. Never written down. */
  readonly hasIpv6?: true;
  /** DNS suffixes of remote services: `NS.SUFFIX` and `SUFFIX` become search domains. */
  readonly searchSuffixes: readonly string[];
}

/** As kept: what depends on the cluster may be `auto`, for a manifest that is only printed cannot ask one. */
export type StoredSettings = Omit<InjectorSettings, 'excludeOutboundBy' | 'nativeSidecars'> & {
  readonly excludeOutboundBy: 'uid' | 'mark' | 'auto';
  readonly nativeSidecars: boolean | 'auto';
};

export const INJECTOR_CONFIG_MAP = 'istio-sidecar-injector';

export const DEFAULT_SETTINGS: Omit<InjectorSettings, 'proxyImage' | 'clusterId'> = {
  imagePullPolicy: 'IfNotPresent',
  network: '',
  dnsDomain: 'cluster.local',
  adsAddress: ADS_ADDRESS,
  excludeOutboundBy: 'uid',
  nativeSidecars: true,
  drainSeconds: 3,
  concurrency: 1,
  logLevel: 'warning',
  resources: { requests: { cpu: '10m', memory: '64Mi' } },
  searchSuffixes: ['global'],
};

/** Reads the ConfigMap's text. @throws Error that names the member which is missing or of the wrong type */
export function parseInjectorSettings(text: string): StoredSettings {
  const given: unknown = JSON.parse(text);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new Error('settings: not an object');
  const settings = { ...DEFAULT_SETTINGS, ...given } as Partial<StoredSettings>;
  for (const member of ['proxyImage', 'adsAddress', 'dnsDomain'] as const) {
    const value: unknown = settings[member];
    if (typeof value !== 'string' || value === '')
      throw new Error(`settings: ${member} must be a text that is not empty`);
  }
  if (typeof settings.clusterId !== 'string') throw new Error('settings: clusterId must be a text');
  if (!['uid', 'mark', 'auto'].includes(settings.excludeOutboundBy ?? '')) {
    throw new Error('settings: excludeOutboundBy must be uid, mark or auto');
  }
  if (settings.nativeSidecars !== 'auto' && typeof settings.nativeSidecars !== 'boolean') {
    throw new Error('settings: nativeSidecars must be true, false or auto');
  }
  if (!Number.isInteger(settings.drainSeconds)) throw new Error('settings: drainSeconds must be a whole number');
  return settings as StoredSettings;
}
