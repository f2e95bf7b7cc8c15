// SPDX-License-Identifier: Apache-2.0
// The seams between the API server's core (storage, REST, watch, discovery) and its security modules (authentication,
// authorization, admission, tokens, streaming). The core calls these interfaces in the order of the real server:
//   authenticate -> authorize -> decode + defaults -> Admission.mutate -> defaults -> validation of the kind
//   -> Admission.validate -> Admission.confirm -> store
// Refusals are thrown ApiErrors (status.ts); anything else that is thrown becomes a 500 Status.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { KubeObject } from '../../kube/types.ts';
import type { GroupResource } from './status.ts';

export interface UserInfo {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface Authenticator {
  /**
   * Who sent `request`: TLS client certificate, bearer token, front proxy. undefined or a thrown ApiError (401) refuses
   * it. Impersonation headers are resolved here too (with the Authorizer), so that the core sees only the final user.
   */
  authenticate(request: IncomingMessage): Promise<UserInfo | undefined>;
}

/** authorization.k8s.io attributes. Verbs: get list watch create update patch delete deletecollection; or HTTP, lower case, for paths. */
export interface Attributes {
  readonly verb: string;
  /** True for /api and /apis resource paths; false for /version, /healthz, /openapi, discovery: then only `path` counts. */
  readonly isResource: boolean;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  /** '' for cluster scope and for lists across namespaces. */
  readonly namespace: string;
  /** '' for collections and creates. */
  readonly name: string;
  /** The URL path without the query. */
  readonly path: string;
}

export interface Decision {
  readonly allowed: boolean;
  /** For the 403 message; may be ''. */
  readonly reason: string;
}

export interface Authorizer {
  authorize(user: UserInfo, attributes: Attributes): Decision | Promise<Decision>;
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface GroupVersionResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  /** What `object` and `oldObject` are: the request's version (for extensions/v1beta1 the equivalent apps/v1). */
  readonly kind: GroupVersionKind;
  readonly resource: GroupVersionResource;
  /** 'status', 'scale', 'binding', 'eviction', 'token', 'exec', ... or ''. */
  readonly subresource: string;
  /** As in the URL, before conversion to an equivalent version. */
  readonly requestKind: GroupVersionKind;
  readonly requestResource: GroupVersionResource;
  /** Other versions that serve the same object; `convert` gives any of them (matchPolicy Equivalent). */
  readonly equivalents: readonly GroupVersionResource[];
  /** '' when the server will make one from generateName, or for a collection. */
  readonly name: string;
  readonly namespace: string;
  /** undefined for DELETE. A plain mutable copy: mutate() may change it in place or return another. */
  readonly object: KubeObject | undefined;
  /** undefined for CREATE and CONNECT. Frozen: never change it. */
  readonly oldObject: KubeObject | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions as JSON with apiVersion and kind. */
  readonly options: Record<string, unknown>;
  readonly dryRun: boolean;
  readonly user: UserInfo;
  /** Shown to the client as a `Warning: 299` header. */
  warn(message: string): void;
  /** `object` in another version of `equivalents` (or back). */
  convert(object: KubeObject, to: GroupVersionResource): KubeObject;
  /** Prunes and defaults `object` again: to be called after each webhook patch. */
  normalize(object: KubeObject): KubeObject;
  /** Aborted when the client has gone or the server stops. */
  readonly signal: AbortSignal;
}

export interface Admission {
  /** Built-in mutating plug-ins (ServiceAccount, tolerations, ...), then the mutating webhooks. Returns what to go on with (undefined for DELETE). */
  mutate(request: AdmissionRequest): Promise<KubeObject | undefined>;
  /** Built-in validating plug-ins, then the validating webhooks. Throws an ApiError to refuse. `object` is final: do not change it. */
  validate(request: AdmissionRequest): Promise<void>;
  /**
   * In the same turn as the write, after everything that takes time: quotas. Throws an ApiError to refuse. Nothing is
   * written between this and the write, so that what was counted is still true.
   */
  confirm(request: AdmissionRequest): void;
}

/** One request for a subresource that is not plain storage. The user is authorized already. */
export interface SubresourceRequest {
  readonly request: IncomingMessage;
  readonly user: UserInfo;
  readonly attributes: Attributes;
  readonly query: URLSearchParams;
  /** The parent (the Pod, the ServiceAccount), frozen, current. */
  readonly parent: KubeObject;
  /** The decoded body; throws ApiError 400 or 415. undefined for an empty body. */
  body(): Promise<KubeObject | undefined>;
  readonly dryRun: boolean;
  warn(message: string): void;
  readonly signal: AbortSignal;
}

export interface SubresourceHandler {
  /** Takes paths below itself too (proxies), and queries that are none of ours. */
  readonly anyPath?: true;
  /** The parent's name in what stands in its place in the URL; default: it is the name. */
  parentName?(segment: string): string;
  /** HTTP methods taken (others get 405), with the verb that they are authorized as: { GET: 'get' } for log, { POST: 'create', GET: 'get' } for exec. */
  readonly methods: Readonly<Record<string, string>>;
  /** The kind that discovery names for it: TokenRequest, PodExecOptions, Pod (log), ... */
  readonly kind: GroupVersionKind;
  /**
   * Answers a plain request. Either writes `response` itself and returns undefined, or returns an object that the core
   * sends (201 for POST, else 200).
   */
  handle(request: SubresourceRequest, response: ServerResponse): Promise<KubeObject | undefined>;
  /** Answers an upgrade (SPDY/3.1 or WebSocket) on the raw socket. Without it an upgrade goes to handle(). */
  upgrade?(request: SubresourceRequest, socket: Duplex, head: Buffer): Promise<void>;
}

/** A create-only resource that is computed and never stored: TokenReview, SubjectAccessReview, SelfSubjectReview, ... */
export interface VirtualResource {
  readonly group: string;
  readonly versions: readonly string[];
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  create(
    object: KubeObject,
    context: { user: UserInfo; namespace: string; version: string; signal: AbortSignal },
  ): Promise<KubeObject>;
}

/** What a computed resource is asked for: '' stands for all namespaces and all names. */
export interface ComputedScope {
  readonly namespace: string;
  readonly name: string;
  readonly signal: AbortSignal;
}

/** Gives the objects of a scope, in full. Throws ApiErrors. */
export type ComputedSource = (scope: ComputedScope) => Promise<readonly KubeObject[]>;

/** A path outside /api and /apis: /.well-known/openid-configuration, /openid/v1/jwks. GET only. */
export interface PathHandler {
  readonly path: string;
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

export interface ObjectEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
}

/**
 * The server's own objects, read and written below authentication and admission. Reads are synchronous and current;
 * what they return is frozen, in the storage version (apps/v1 for Deployments), and shared: copy before changing.
 */
export interface ClusterObjects {
  get(type: GroupResource, namespace: string, name: string): KubeObject | undefined;
  /** All of them, or those of one namespace. */
  list(type: GroupResource, namespace?: string): readonly KubeObject[];
  /** Calls `listener` synchronously after each write. Returns the way to end it. */
  watch(type: GroupResource, listener: (event: ObjectEvent) => void): () => void;
  /** Stored as given, with uid, creationTimestamp and resourceVersion; ApiError 409 if it exists. */
  create(type: GroupResource, object: KubeObject): KubeObject;
  /** ApiError 404, or 409 when metadata.resourceVersion is stale. */
  update(
    type: GroupResource,
    object: KubeObject,
    /** Whose the changed fields are in metadata.managedFields; default: the server's own. */
    by?: { readonly manager: string; readonly subresource: string },
  ): KubeObject;
  /** The resource type that serves a group/version/kind or group/version/resource, CRDs included. */
  resolve(wanted: {
    group: string;
    version?: string;
    resource?: string;
    kind?: string;
  }): (GroupResource & { kind: string; namespaced: boolean; versions: readonly string[] }) | undefined;
}

/** What the core gives to the security modules when it starts. */
export interface SecurityInputs {
  readonly clusterName: string;
  /** Holds pki/ as ensureClusterPki wrote it. */
  readonly dataDir: string;
  /** e.g. https://172.31.0.11:6443: where this server is reached. */
  readonly server: string;
  readonly objects: ClusterObjects;
  readonly now: () => Date;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  readonly signal: AbortSignal;
}

/** What security.ts makes of them: `export function createSecurity(inputs: SecurityInputs): Promise<Security>`. */
export interface Security {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly admission: Admission;
  /** Keyed by "resource/subresource" of the core group: pods/log, pods/exec, pods/attach, pods/portforward, serviceaccounts/token, ... */
  readonly subresources: ReadonlyMap<string, SubresourceHandler>;
  readonly virtualResources: readonly VirtualResource[];
  /** By storage key ("pods.metrics.k8s.io"): kinds that nodes answer for. */
  readonly computed: ReadonlyMap<string, ComputedSource>;
  readonly paths: readonly PathHandler[];
  /** Bootstrap RBAC (and whatever else security needs); created on every start when absent. */
  bootstrapObjects(): readonly KubeObject[];
}
