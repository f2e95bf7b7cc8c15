// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Core } from '../rest/context.ts';
import { type MediaType, noSuchForm, parseAccept } from '../rest/negotiation.ts';
import { sendJson, sendText } from '../rest/respond.ts';
import { noSuchResource } from '../status.ts';
import { aggregatedList, coreVersions, groupDocument, groupList, resourceList } from './documents.ts';
import { type DiscoveredGroup, discoveredGroups } from './model.ts';

/** Serves /api, /api/v1, /apis, /apis/GROUP and /apis/GROUP/VERSION. */
export class DiscoveryServer {
  readonly #core: Core;
  #groups: readonly DiscoveredGroup[] = [];
  #generation = -1;

  constructor(core: Core) {
    this.#core = core;
  }

  groups(): readonly DiscoveredGroup[] {
    const { registry, security } = this.#core;
    if (this.#generation !== registry.generation) {
      this.#groups = discoveredGroups(registry, security.subresources);
      this.#generation = registry.generation;
    }
    return this.#groups;
  }

  /** false when the path is none of discovery's. */
  serve(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    const segments = path.split('/').filter((segment) => segment !== '');
    const [root, first, second, ...rest] = segments;
    if ((root !== 'api' && root !== 'apis') || rest.length > 0) return false;
    const groups = this.groups();
    if (root === 'api') {
      if (second !== undefined) return false;
      const core = groups.filter(({ name }) => name === '');
      if (first === undefined)
        this.#root(request, response, core, () => coreVersions(core[0], request.headers.host ?? ''));
      else this.#version(response, core[0], first);
      return true;
    }
    const named = groups.filter(({ name }) => name !== '');
    if (first === undefined) {
      this.#root(request, response, named, () => groupList(named));
      return true;
    }
    const group = named.find(({ name }) => name === first);
    if (second !== undefined) this.#version(response, group, second);
    else if (group) sendJson(response, 200, groupDocument(group));
    else sendText(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
    return true;
  }

  #version(response: ServerResponse, group: DiscoveredGroup | undefined, version: string): void {
    const found = group?.versions.find((one) => one.version === version);
    if (!group || !found) throw noSuchResource();
    sendJson(response, 200, resourceList(group.name, found));
  }

  #root(
    request: IncomingMessage,
    response: ServerResponse,
    groups: readonly DiscoveredGroup[],
    legacy: () => unknown,
  ): void {
    for (const accepted of parseAccept(request.headers.accept)) {
      const version = aggregatedVersion(accepted);
      if (version) {
        sendAggregated(request, response, groups, version);
        return;
      }
      const plain =
        ['application/json', '*/*', 'application/*'].includes(accepted.type) && !accepted.parameters.has('as');
      if (plain) {
        sendJson(response, 200, legacy());
        return;
      }
    }
    throw noSuchForm();
  }
}

function aggregatedVersion({ type, parameters }: MediaType): string | undefined {
  const wanted = parameters.get('as') === 'APIGroupDiscoveryList' && parameters.get('g') === 'apidiscovery.k8s.io';
  return type === 'application/json' && wanted && parameters.get('v') === 'v2' ? 'v2' : undefined;
}

function sendAggregated(
  request: IncomingMessage,
  response: ServerResponse,
  groups: readonly DiscoveredGroup[],
  version: string,
): void {
  const text = JSON.stringify(aggregatedList(groups, `apidiscovery.k8s.io/${version}`));
  const etag = `"${createHash('sha512').update(text).digest('hex').toUpperCase()}"`;
  response.setHeader('Vary', 'Accept');
  response.setHeader('ETag', etag);
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  sendText(response, 200, type, text);
}
