// SPDX-License-Identifier: Apache-2.0
// A volume that is made of objects of the cluster and follows them: configMap, secret, downwardAPI, projected.
import type {
  ConfigMap,
  KeyToPath,
  Pod,
  ProjectedSource,
  Secret,
  ServiceAccountTokenSource,
  Volume,
} from '../pod-types.ts';
import { AtomicFolder, type VolumeFile } from './atomic-folder.ts';
import { type PodPlace, readField, readResourceField } from './fields.ts';
import type { ObjectSource } from './object-source.ts';
import { pause } from './pause.ts';

const DEFAULT_MODE = 0o644;
const DEFAULT_TOKEN_SECONDS = 3600;
/** The kubelet's rule: a token is renewed when 80 % of its life is over, and after a day in any case. */
const RENEWAL_SHARE = 0.8;
const MAX_RENEWAL_MS = 24 * 3600 * 1000;
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** A source as far as it is known; `not known` until the first answer. */
type Known<T> = { readonly isKnown: false } | { readonly isKnown: true; readonly value: T | undefined };

interface LiveSource {
  readonly source: ProjectedSource;
  object: Known<ConfigMap | Secret>;
  token: string | undefined;
  tokenError: string | undefined;
}

export interface ProjectedVolumeOptions {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly path: string;
  readonly gid: number | undefined;
  readonly objects: ObjectSource;
  readonly signal: AbortSignal;
  /** Called whenever `problem` may have changed. */
  readonly onChange: () => void;
}

/** The volume's sources in the one shape that `projected` has; undefined for another kind of volume. */
export function projectedSources(volume: Volume): { sources: ProjectedSource[]; defaultMode: number } | undefined {
  const { configMap, secret, downwardAPI, projected } = volume;
  const mode = (defaultMode: number | undefined) => defaultMode ?? DEFAULT_MODE;
  if (configMap) return { sources: [{ configMap }], defaultMode: mode(configMap.defaultMode) };
  if (secret) {
    const { secretName, defaultMode, ...rest } = secret;
    return {
      sources: [{ secret: { ...rest, ...(secretName && { name: secretName }) } }],
      defaultMode: mode(defaultMode),
    };
  }
  if (downwardAPI) return { sources: [{ downwardAPI }], defaultMode: mode(downwardAPI.defaultMode) };
  if (projected) return { sources: projected.sources ?? [], defaultMode: mode(projected.defaultMode) };
  return undefined;
}

export class ProjectedVolume {
  readonly name: string;
  readonly path: string;
  #pod: Pod;
  #problem: string | undefined = 'its sources are not known yet';
  #hasContent = false;
  readonly #options: ProjectedVolumeOptions;
  readonly #defaultMode: number;
  readonly #sources: LiveSource[];
  readonly #folder: AtomicFolder;

  constructor(name: string, sources: readonly ProjectedSource[], defaultMode: number, options: ProjectedVolumeOptions) {
    this.name = name;
    this.path = options.path;
    this.#pod = options.pod;
    this.#options = options;
    this.#defaultMode = defaultMode;
    this.#folder = new AtomicFolder(options.path, options.gid);
    this.#sources = sources.map((source) => ({
      source,
      object: { isKnown: false },
      token: undefined,
      tokenError: undefined,
    }));
    for (const live of this.#sources) this.#follow(live);
    this.#refresh();
  }

  /** Why the volume cannot be used yet; undefined once it has had content: later losses leave that in place. */
  get problem(): string | undefined {
    return this.#hasContent ? undefined : this.#problem;
  }

  /** Takes over changed labels and annotations. */
  update(pod: Pod): void {
    this.#pod = pod;
    if (this.#sources.some(({ source }) => source.downwardAPI)) this.#refresh();
  }

  #follow(live: LiveSource): void {
    const { objects, pod, signal } = this.#options;
    const namespace = pod.metadata.namespace ?? 'default';
    const { configMap, secret, serviceAccountToken } = live.source;
    const take = (value: ConfigMap | Secret | undefined) => {
      live.object = { isKnown: true, value };
      this.#refresh();
    };
    if (configMap) this.#until(objects.observeConfigMap(namespace, configMap.name ?? '', take));
    if (secret) this.#until(objects.observeSecret(namespace, secret.name ?? '', take));
    if (serviceAccountToken) void this.#renew(live, serviceAccountToken, signal);
  }

  #until(stop: () => void): void {
    if (this.#options.signal.aborted) stop();
    else this.#options.signal.addEventListener('abort', stop, { once: true });
  }

  async #renew(live: LiveSource, source: ServiceAccountTokenSource, signal: AbortSignal): Promise<void> {
    let retryMs = RETRY_MS;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        const { token, expiresAt } = await this.#options.objects.requestToken(this.#pod, {
          audience: source.audience,
          expirationSeconds: source.expirationSeconds ?? DEFAULT_TOKEN_SECONDS,
        });
        live.token = token;
        waitMs = Math.min(MAX_RENEWAL_MS, Math.max(500, (expiresAt.getTime() - Date.now()) * RENEWAL_SHARE));
        retryMs = RETRY_MS;
      } catch (error) {
        live.tokenError = `failed to fetch token: ${(error as Error).message}`;
        waitMs = retryMs;
        retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
      }
      if (signal.aborted) return;
      this.#refresh();
      await pause(waitMs, signal);
    }
  }

  #refresh(): void {
    if (this.#options.signal.aborted) return;
    try {
      const files = new Map<string, VolumeFile>();
      for (const live of this.#sources) this.#collect(live, files);
      this.#folder.write(files);
      this.#hasContent = true;
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    this.#options.onChange();
  }

  /** @throws Error that says what is missing */
  #collect(live: LiveSource, files: Map<string, VolumeFile>): void {
    const { configMap, secret, downwardAPI, serviceAccountToken } = live.source;
    if (serviceAccountToken) {
      if (live.token === undefined) throw new Error(live.tokenError ?? 'the service account token is not there yet');
      // With fsGroup, the group reads it; without, the container's uid is not the owner here, so all do.
      const mode = this.#options.gid === undefined ? 0o644 : 0o600;
      files.set(serviceAccountToken.path, { content: Buffer.from(live.token), mode });
    }
    for (const item of downwardAPI?.items ?? []) {
      files.set(item.path, { content: Buffer.from(this.#readDownward(item)), mode: item.mode ?? this.#defaultMode });
    }
    const reference = configMap ?? secret;
    if (!reference) return;
    const kind = configMap ? 'configmap' : 'secret';
    const name = `${kind} "${reference.name}"`;
    if (!live.object.isKnown) throw new Error(`${name} is not known yet`);
    if (!live.object.value) {
      if (reference.optional) return;
      throw new Error(`${name} not found`);
    }
    const contents = configMap ? contentsOfConfigMap(live.object.value) : contentsOfSecret(live.object.value);
    const items = reference.items ?? [...contents.keys()].map((key): KeyToPath => ({ key, path: key }));
    for (const { key, path, mode } of items) {
      const content = contents.get(key);
      if (content) files.set(path, { content, mode: mode ?? this.#defaultMode });
      else if (!reference.optional) throw new Error(`${name} has no key "${key}"`);
    }
  }

  #readDownward(item: NonNullable<NonNullable<ProjectedSource['downwardAPI']>['items']>[number]): string {
    if (item.fieldRef) return readField(this.#pod, item.fieldRef.fieldPath, this.#options.place, true);
    const ref = item.resourceFieldRef;
    const container = this.#pod.spec.containers.find(({ name }) => name === ref?.containerName);
    if (!ref || !container) throw new Error(`downwardAPI item "${item.path}" names no container of the pod`);
    return readResourceField(container, ref);
  }
}

function contentsOfConfigMap(object: ConfigMap): Map<string, Buffer> {
  return new Map([
    ...Object.entries(object.data ?? {}).map(([key, text]) => [key, Buffer.from(text)] as const),
    ...Object.entries(object.binaryData ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const),
  ]);
}

function contentsOfSecret(object: Secret): Map<string, Buffer> {
  return new Map(Object.entries(object.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
}
