// SPDX-License-Identifier: Apache-2.0
// What proxies refuse: which objects are to be told, and whether one of them is left out for everybody, so that the others
// come into force. That takes more than one proxy's word: what another proxy takes is the refusing one's own trouble (an
// older Envoy, or one that wants to do harm), docs/decisions/0039.
import { type ObjectRef, refName } from '../../api/diagnostics.ts';
import { TYPE_URL } from '../../envoy/names.ts';
import type { XdsNack, XdsResource } from '../../xds/types.ts';
import { Quarantine, type QuarantineEngine } from '../findings/quarantine.ts';
import type { CompiledProxy } from '../mesh-engine.ts';

/** A resource that Envoy refused, and the objects that it was made of. */
export interface Refusal {
  /** The node id, which is the proxy's own word. */
  readonly proxy: string;
  /** What limits go by: the pod that is proven to have said so, or, where none is, the node id. */
  readonly client: string;
  readonly typeUrl: string;
  readonly resource: string;
  readonly version: string;
  readonly message: string;
  readonly blamed: readonly ObjectRef[];
}

/** A connected proxy, as far as its refusals go. */
export interface Answering {
  /** The node id. */
  readonly id: string;
  readonly client: string;
  /** What it was sent last. */
  compiled(): CompiledProxy | undefined;
  /** What it is to have by now. */
  compileNow(): CompiledProxy;
}

export interface Answers {
  acknowledged(typeUrl: string, resources: readonly XdsResource[]): void;
  rejected(nack: XdsNack): void;
  closed(): void;
}

export interface RefusalsOptions {
  readonly engine: QuarantineEngine;
  readonly onRefusal: (refusal: Refusal) => void;
  /** A refusal could not be judged, or told: no more comes of it, and nothing else goes down with it. */
  readonly onError: (error: Error) => void;
  /** How long others have for their answer before an object is left out. */
  readonly answerMs?: number;
}

/** Types whose resources are made of what many objects say, or in place of something that must not be missing. */
const QUARANTINED: ReadonlySet<string> = new Set([TYPE_URL.routes, TYPE_URL.listener, TYPE_URL.virtualHost]);
/** Of the others so many are asked whether they take an object: enough to tell, whatever their number. */
const MAX_ASKED = 64;
/** Clients without delta refuse all resources of a type at once; so many are told, those that Envoy names first. */
const MAX_TOLD = 8;

interface Refused {
  readonly typeUrl: string;
  readonly resource: string;
  readonly version: string;
  readonly message: string;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #quarantine: Quarantine;
  readonly #proxies = new Set<Answering>();
  /** Resources that some proxy has taken. */
  readonly #taken = new WeakSet<XdsResource>();
  /** Many proxies take one and the same list of thousands. */
  readonly #takenLists = new WeakSet<readonly XdsResource[]>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
    this.#quarantine = new Quarantine(options.engine);
  }

  open(proxy: Answering): Answers {
    this.#proxies.add(proxy);
    return {
      acknowledged: (typeUrl, resources) => {
        // Clusters too, for the sake of EnvoyFilters; endpoints are the many, and refused by none.
        if (typeUrl === TYPE_URL.endpoints || this.#takenLists.has(resources)) return;
        this.#takenLists.add(resources);
        for (const resource of resources) this.#taken.add(resource);
      },
      rejected: (nack) => {
        const message = shortenRefusal(nack.message);
        for (const [resource, version] of toldOf(nack)) {
          this.#refused(proxy, { typeUrl: nack.typeUrl, resource, version, message });
        }
      },
      closed: () => this.#proxies.delete(proxy),
    };
  }

  #refused(proxy: Answering, refused: Refused): void {
    const { typeUrl, resource, version } = refused;
    const likely = chooseBlamed(proxy.compiled()?.origins(typeUrl, resource) ?? []);
    // One patch without a match changes every resource of its type, and a proxy that starts would have none.
    const isPatched = likely.some(({ kind }) => kind === 'EnvoyFilter');
    if (!QUARANTINED.has(typeUrl) && !isPatched) {
      this.#options.onRefusal({ ...whose(proxy), ...refused, blamed: likely });
      return;
    }
    // Many proxies refuse one table; by the time the second says so, the first one's refusal has changed it.
    const isPast = () => versionNow(proxy, typeUrl, resource) !== version;
    if (isPast()) return;
    // Nobody would catch it in a timer, and the process would end.
    const decide = (): void => {
      try {
        this.#decide(proxy, refused, likely);
      } catch (error) {
        this.#options.onError(error as Error);
      }
    };
    if (this.#proxies.size === 1) {
      decide();
      return;
    }
    const { answerMs = 2_000 } = this.#options;
    setTimeout(() => {
      if (this.#proxies.has(proxy) && !isPast()) decide();
    }, answerMs).unref();
  }

  #decide(proxy: Answering, refused: Refused, likely: readonly ObjectRef[]): void {
    const { typeUrl, resource, message } = refused;
    const taken = this.#takenByOthers(proxy, typeUrl, resource);
    const origins = likely.filter((ref) => !taken.has(refName(ref)));
    const left =
      origins.length === 0
        ? undefined
        : this.#quarantine.take({ resource: `${typeUrl} ${resource}`, message, origins });
    this.#options.onRefusal({ ...whose(proxy), ...refused, blamed: left === undefined ? likely : [left] });
  }

  /** Objects behind the resource of this name that other proxies have, and have taken as it is now. */
  #takenByOthers(refusing: Answering, typeUrl: string, name: string): ReadonlySet<string> {
    const found = new Set<string>();
    const seen = new Set<XdsResource>();
    let asked = 0;
    for (const proxy of this.#proxies) {
      const compiled = proxy === refusing ? undefined : proxy.compiled();
      const resource = compiled && resourceOf(compiled, typeUrl, name);
      if (compiled === undefined || resource === undefined || seen.has(resource) || !this.#taken.has(resource))
        continue;
      seen.add(resource);
      for (const { object } of compiled.origins(typeUrl, name)) found.add(refName(object));
      if (++asked === MAX_ASKED) break;
    }
    return found;
  }
}

function whose({ id, client }: Answering): Pick<Refusal, 'proxy' | 'client'> {
  return { proxy: id, client };
}

function resourceOf({ desired, offered, kept }: CompiledProxy, typeUrl: string, name: string): XdsResource | undefined {
  return (
    desired.get(typeUrl)?.get(name) ?? offered?.get(typeUrl)?.resources.get(name) ?? kept?.get(typeUrl)?.find(name)
  );
}

/** undefined also where it cannot be computed now: its stream says so, and this may be asked by a timer. */
function versionNow(proxy: Answering, typeUrl: string, name: string): string | undefined {
  try {
    return resourceOf(proxy.compileNow(), typeUrl, name)?.version;
  } catch {
    return undefined;
  }
}

function toldOf({ resources, message }: XdsNack): readonly (readonly [name: string, version: string])[] {
  if (resources.size === 1) return [...resources];
  const named = [...resources].filter(([name]) => message.includes(name));
  return (named.length > 0 ? named : [...resources]).slice(0, MAX_TOLD);
}

/**
 * Envoy puts the whole message that it refuses before the reason, and the path of errors before the one that caused them:
 * only the last says anything.
 */
export function shortenRefusal(message: string): string {
  const constraint = message.lastIndexOf('Proto constraint validation failed (');
  if (constraint < 0) return message;
  const reason = message
    .slice(constraint)
    .replace(/^[^(]*\(/, '')
    .replace(/\)\s*$/, '');
  return `constraint violated: ${reason.split('caused by ').at(-1)}`;
}

/** Rules that somebody wrote for the mesh are more likely wrong than the Services that they are about. */
function chooseBlamed(origins: readonly { readonly object: ObjectRef }[]): ObjectRef[] {
  const distinct = new Map(origins.map(({ object }) => [refName(object), object]));
  const all = [...distinct.values()];
  const rules = all.filter(({ apiVersion }) => apiVersion.includes('istio.io/'));
  return rules.length > 0 ? rules : all;
}
