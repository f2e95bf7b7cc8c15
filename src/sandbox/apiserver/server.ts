// SPDX-License-Identifier: Apache-2.0
// HTTPS in front of everything: who is it, may he, and who answers.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { accessDenied } from './auth/access-denied.ts';
import { DiscoveryServer } from './discovery/serve.ts';
import { OpenApiServer } from './openapi/serve.ts';
import type { Core, ResourceRequest } from './rest/context.ts';
import { dispatch, dispatchUpgrade, dispatchVirtual } from './rest/dispatch.ts';
import { attributesOf, parseResourcePath, type ResourcePath } from './rest/path.ts';
import { addWarning, sendError, sendJson, sendText } from './rest/respond.ts';
import type { Attributes, UserInfo } from './seams.ts';
import { type ApiError, asApiError, badRequest, methodNotAllowed, noSuchResource, unauthorized } from './status.ts';
import { VERSION_INFO } from './version.ts';

const HEALTH_PATHS: readonly string[] = ['/healthz', '/livez', '/readyz'];

interface Admitted {
  readonly user: UserInfo;
  readonly attributes: Attributes;
  readonly target: ResourcePath | undefined;
  readonly url: URL;
}

export class ApiServer {
  readonly #core: Core;
  readonly #discovery: DiscoveryServer;
  readonly #openApi: OpenApiServer;

  constructor(core: Core) {
    this.#core = core;
    this.#discovery = new DiscoveryServer(core);
    this.#openApi = new OpenApiServer(core, VERSION_INFO.gitVersion);
  }

  /** An https.Server that is not listening yet. */
  createServer(tls: ServerOptions): Server {
    const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false, keepAliveTimeout: 90_000 });
    // Watches and log streams take as long as they take.
    server.requestTimeout = 0;
    server.timeout = 0;
    server.on('request', (request, response) => void this.#serve(request, response));
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    return server;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, this.#core.signal]);
    try {
      const admitted = await this.#admit(request);
      await this.#answer(request, response, admitted, signal);
    } catch (error) {
      // A client that hangs up in the middle of its request is nobody's failure.
      const left = response.destroyed;
      const refusal = sendError(request, response, error);
      if (refusal.code >= 500 && !left) this.#logFailure(request, refusal, error);
    }
  }

  #logFailure(request: IncomingMessage, refusal: ApiError, error: unknown): void {
    const stack = error === refusal ? undefined : error instanceof Error ? error.stack : String(error);
    const path = (request.url ?? '').split('?')[0];
    this.#core.log('error', 'request failed', {
      method: request.method,
      path,
      code: refusal.code,
      message: refusal.message,
      stack,
    });
  }

  async #admit(request: IncomingMessage): Promise<Admitted> {
    const url = urlOf(request);
    const target = parseResourcePath(url.pathname);
    const user = await this.#core.security.authenticator.authenticate(request);
    if (!user) throw unauthorized();
    const attributes = attributesOf(request.method ?? 'GET', url.pathname, url.searchParams, target);
    const decision = await this.#core.security.authorizer.authorize(user, attributes);
    if (!decision.allowed) throw accessDenied(user, attributes, decision.reason);
    return { user, attributes, target, url };
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    admitted: Admitted,
    signal: AbortSignal,
  ): Promise<void> {
    const { target, url } = admitted;
    if (!target) return this.#answerPath(request, response, url.pathname);
    const { group, version, resource } = target;
    const virtual = this.#core.registry.findVirtual(group, version, resource);
    if (virtual) {
      return dispatchVirtual(this.#core, { request, response, user: admitted.user, path: target, signal }, virtual);
    }
    if (!this.#core.registry.hasVersion(group, version) && group !== '') {
      sendText(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
      return;
    }
    await dispatch(this.#resourceRequest(request, response, admitted, target, signal));
  }

  #resourceRequest(
    request: IncomingMessage,
    response: ServerResponse,
    { user, attributes, url }: Admitted,
    path: ResourcePath,
    signal: AbortSignal,
  ): ResourceRequest {
    const served = this.#core.registry.find(path.group, path.version, path.resource);
    if (!served) throw noSuchResource();
    if (!served.definition.namespaced && path.namespace !== '') throw noSuchResource();
    return {
      core: this.#core,
      request,
      response,
      user,
      attributes,
      query: url.searchParams,
      path,
      definition: served.definition,
      version: served.version,
      signal,
      warn: (message) => addWarning(response, message),
    };
  }

  async #answerPath(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const handler = this.#core.security.paths.find((one) => one.path === path);
    const health = HEALTH_PATHS.find((one) => path === one || path.startsWith(`${one}/`));
    const known =
      handler !== undefined ||
      health !== undefined ||
      path === '/version' ||
      path === '/' ||
      /^\/(api|apis|openapi)(\/|$)/.test(path);
    if (!known) return sendText(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
    if (request.method !== 'GET') throw methodNotAllowed();
    if (handler) return handler.handle(request, response);
    if (health) return sendHealth(request, response, health);
    if (path === '/version') return sendJson(response, 200, VERSION_INFO);
    if (path === '/') return sendJson(response, 200, { paths: this.#rootPaths() });
    if (this.#discovery.serve(request, response, path) || this.#openApi.serve(request, response, path)) return;
    throw noSuchResource();
  }

  #rootPaths(): string[] {
    const groups = this.#discovery
      .groups()
      .flatMap(({ name, versions }) =>
        name === ''
          ? ['/api', ...versions.map(({ version }) => `/api/${version}`)]
          : [`/apis/${name}`, ...versions.map(({ version }) => `/apis/${name}/${version}`)],
      );
    const others = this.#core.security.paths.map(({ path }) => path);
    return [...groups, '/apis', ...HEALTH_PATHS, '/openapi/v2', '/openapi/v3', '/version', ...others].sort();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    socket.on('close', () => gone.abort());
    socket.on('error', () => gone.abort());
    try {
      const admitted = await this.#admit(request);
      if (!admitted.target) throw noSuchResource();
      const response = refusedResponse();
      const signal = AbortSignal.any([gone.signal, this.#core.signal]);
      await dispatchUpgrade(this.#resourceRequest(request, response, admitted, admitted.target, signal), socket, head);
    } catch (error) {
      const refusal = asApiError(error);
      if (refusal.code >= 500) this.#logFailure(request, refusal, error);
      refuseUpgrade(socket, refusal);
    }
  }
}

/** Stands where an upgraded connection has no response: nothing may be written to it. */
function refusedResponse(): ServerResponse {
  return new Proxy({} as ServerResponse, {
    get: (_, name) => {
      if (name === 'headersSent') return true;
      throw new Error(`an upgraded connection has no response (${String(name)})`);
    },
  });
}

function refuseUpgrade(socket: Duplex, error: ApiError): void {
  if (socket.destroyed || !socket.writable) return;
  const body = JSON.stringify(error.status);
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason ?? 'Error'}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function sendHealth(request: IncomingMessage, response: ServerResponse, path: string): void {
  const verbose = urlOf(request).searchParams.has('verbose');
  const text = verbose ? `[+]ping ok\n[+]storage ok\n${path.slice(1)} check passed\n` : 'ok';
  sendText(response, 200, 'text/plain; charset=utf-8', text);
}

/** A path that begins with two slashes is a path here, and no server's name (RFC 9112, 3.2.1: origin-form). */
function urlOf(request: IncomingMessage): URL {
  const text = `https://server${request.url ?? '/'}`;
  if (!request.url?.startsWith('/') || !URL.canParse(text)) throw badRequest('the request target is not a path');
  return new URL(text);
}
