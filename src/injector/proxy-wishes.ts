// SPDX-License-Identifier: Apache-2.0
// How a pod's proxy is to run: the mesh's defaultConfig, under the ProxyConfig of the root namespace, under that of the
// pod's, under one that selects the pod, under the pod's own annotation. A change counts from the next pod on.
import { parseDocument } from 'yaml';
import { selects } from '../api/kubernetes.ts';
import type { ProxyConfig } from '../api/proxy-config.ts';
import { type ProxySettings, proxySettings } from '../api/proxy-settings.ts';
import { Report } from '../api/report.ts';
import type { ObjectMeta } from '../kube/types.ts';

export interface ProxyDefaults {
  /** The mesh's defaultConfig. */
  readonly mesh: ProxySettings | undefined;
  /** Oldest first. */
  readonly configs: readonly ProxyConfig[];
  readonly rootNamespace: string;
}

/** Absent members: as the installation has it. */
export interface ProxyWishes {
  /** Worker threads; 0: one for each processor. */
  readonly concurrency?: number | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly imageType?: string | undefined;
  readonly drainMs?: number | undefined;
  readonly terminationDrainMs?: number | undefined;
  readonly fileFlushMs?: number | undefined;
  /** How much of the access log is kept at most until it is written. */
  readonly fileFlushKb?: number | undefined;
  readonly runtime: Readonly<Record<string, string>>;
  readonly stats?: ProxySettings['proxyStatsMatcher'];
  /** `host:port` */
  readonly otlpMetrics?: string | undefined;
  /** For who creates the pod. */
  readonly warnings: readonly string[];
}

export const NO_WISHES: ProxyWishes = { environment: {}, runtime: {}, warnings: [] };

const PROXY_ANNOTATION = 'proxy.istio.io/config';

/** What only the mesh's defaultConfig can say: it is the control plane that does it, for all proxies. */
const OF_THE_MESH = ['tracing', 'gatewayTopology', 'proxyHeaders', 'connectionSettings'] as const;

/** @throws Error that names what the annotation has wrong */
export function proxyWishes(metadata: ObjectMeta, namespace: string, defaults: ProxyDefaults): ProxyWishes {
  const warnings: string[] = [];
  const own = readAnnotation(metadata.annotations?.[PROXY_ANNOTATION], warnings);
  for (const field of OF_THE_MESH) {
    if (own?.[field] === undefined) continue;
    warnings.push(`annotation ${PROXY_ANNOTATION}: ${field} counts in the mesh’s defaultConfig only`);
  }
  const configs = configsOf(defaults, metadata, namespace);
  const settings = [defaults.mesh, own].filter((each) => each !== undefined);
  const last = <T>(values: readonly (T | undefined)[]): T | undefined =>
    values.findLast((value) => value !== undefined);
  return {
    concurrency: last([defaults.mesh?.concurrency, ...configs.map(({ concurrency }) => concurrency), own?.concurrency]),
    environment: Object.assign(
      {},
      defaults.mesh?.proxyMetadata,
      ...configs.map(({ environmentVariables }) => environmentVariables),
      own?.proxyMetadata,
    ) as Record<string, string>,
    imageType: last([
      defaults.mesh?.image?.imageType,
      ...configs.map(({ image }) => image?.imageType),
      own?.image?.imageType,
    ]),
    drainMs: last(settings.map(({ drainDuration }) => drainDuration)),
    terminationDrainMs: last(settings.map(({ terminationDrainDuration }) => terminationDrainDuration)),
    fileFlushMs: last(settings.map(({ fileFlushInterval }) => fileFlushInterval)),
    fileFlushKb: last(settings.map(({ fileFlushMinSizeKb }) => fileFlushMinSizeKb)),
    runtime: Object.assign({}, ...settings.map(({ runtimeValues }) => runtimeValues)) as Record<string, string>,
    stats: last(settings.map(({ proxyStatsMatcher }) => proxyStatsMatcher)),
    otlpMetrics: last(settings.map(({ otlpMetrics }) => otlpMetrics?.address)),
    warnings,
  };
}

/** The most general first. Of those without a selector the oldest of each namespace counts. */
function configsOf({ configs, rootNamespace }: ProxyDefaults, { labels = {} }: ObjectMeta, namespace: string) {
  const selector = ({ spec }: ProxyConfig) => spec.selector?.matchLabels ?? {};
  const isGeneral = (config: ProxyConfig) => Object.keys(selector(config)).length === 0;
  const general = (where: string) => configs.find((c) => c.ref.namespace === where && isGeneral(c)) ?? [];
  const selecting = configs.filter(
    (config) => config.ref.namespace === namespace && !isGeneral(config) && selects(selector(config), labels),
  );
  return [general(rootNamespace), namespace === rootNamespace ? [] : general(namespace), selecting.slice(0, 1)]
    .flat()
    .map(({ spec }) => spec);
}

function readAnnotation(text: string | undefined, warnings: string[]): ProxySettings | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const document = parseDocument(text);
  const where = `annotation ${PROXY_ANNOTATION}`;
  if (document.errors.length > 0) throw new Error(`${where} is no YAML: ${document.errors[0]!.message.split('\n')[0]}`);
  const report = new Report({ apiVersion: 'v1', kind: 'Pod', namespace: '', name: '' });
  const settings = proxySettings.decode(document.toJS() ?? {}, { field: '', report });
  for (const { code, severity, field, message, cure } of report.diagnostics) {
    const said = `${where}: ${field}: ${message}; ${cure}`;
    // A field of another version of Istio does no harm.
    if (severity === 'error' && code !== 'ISM0003') throw new Error(said);
    warnings.push(said);
  }
  return settings;
}
