// SPDX-License-Identifier: Apache-2.0
// POST serviceaccounts/NAME/token: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects, SubresourceHandler, SubresourceRequest, UserInfo } from '../seams.ts';
import { badRequest, conflict, forbidden, type GroupResource, invalid, notFound } from '../status.ts';
import { type BoundObject, ISSUER, PODS, SECRETS, type TokenService } from './token-service.ts';

const DEFAULT_SECONDS = 3600;
const MIN_SECONDS = 600;
const MAX_SECONDS = 2 ** 32;
const NODES: GroupResource = { group: '', resource: 'nodes' };

interface TokenRequestSpec {
  readonly audiences?: readonly string[];
  readonly expirationSeconds?: number;
  readonly boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string };
}

export function tokenRequestHandler(tokens: TokenService, objects: ClusterObjects): SubresourceHandler {
  return {
    methods: { POST: 'create' },
    kind: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
    async handle(request) {
      const body = await request.body();
      return answer(tokens, objects, request, body ?? emptyRequest());
    },
  };
}

function emptyRequest(): KubeObject {
  return { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec: {} };
}

function answer(
  tokens: TokenService,
  objects: ClusterObjects,
  request: SubresourceRequest,
  body: KubeObject,
): KubeObject {
  const account = request.parent;
  const { name, namespace } = request.attributes;
  if (body.metadata?.name && body.metadata.name !== name) {
    throw badRequest(`name in URL (${name}) does not match name in TokenRequest object (${body.metadata.name})`);
  }
  if (body.metadata?.namespace && body.metadata.namespace !== namespace) {
    throw badRequest(
      `namespace in URL (${namespace}) does not match that of the TokenRequest (${body.metadata.namespace})`,
    );
  }
  const spec = (body.spec ?? {}) as TokenRequestSpec;
  const expirationSeconds = spec.expirationSeconds ?? DEFAULT_SECONDS;
  checkExpiration(expirationSeconds);
  const binding = spec.boundObjectRef ? resolveBinding(objects, account, spec.boundObjectRef) : {};
  restrictNode(request.user, name, binding);
  const audiences = spec.audiences?.length ? spec.audiences : [ISSUER];
  const { token, expires } = tokens.issue(account, { audiences, expirationSeconds, ...binding });
  return {
    ...body,
    metadata: {
      ...body.metadata,
      name,
      namespace,
      uid: account.metadata.uid,
      creationTimestamp: account.metadata.creationTimestamp,
    },
    spec: { ...spec, audiences, expirationSeconds },
    status: { token, expirationTimestamp: expires.toISOString().replace(/\.\d+Z$/, 'Z') },
  };
}

/** A node may act for the pods that it runs, and for no other account: a lost node is not a lost cluster. */
function restrictNode(user: UserInfo, account: string, { bound, node }: Binding): void {
  if (!user.groups.includes('system:nodes')) return;
  const refuse = (why: string) => forbidden({ group: '', resource: 'serviceaccounts' }, account, why);
  if (bound?.kind !== 'pod') throw refuse('node requested token not bound to a pod');
  if (user.username !== `system:node:${node?.metadata.name}`) {
    throw refuse('node requested token bound to a pod scheduled on a different node');
  }
}

function checkExpiration(seconds: number): void {
  const refuse = (why: string) =>
    invalid('authentication.k8s.io', 'TokenRequest', '', [
      { reason: 'FieldValueInvalid', field: 'spec.expirationSeconds', message: `Invalid value: ${seconds}: ${why}` },
    ]);
  if (seconds < MIN_SECONDS) throw refuse('may not specify a duration less than 10 minutes');
  if (seconds > MAX_SECONDS) throw refuse('may not specify a duration larger than 2^32 seconds');
}

interface Binding {
  readonly bound?: BoundObject;
  /** Where the pod runs. */
  readonly node?: KubeObject;
}

/** The pod or secret that the token shall die with. It has to exist, with the uid given, and to belong to the account. */
function resolveBinding(
  objects: ClusterObjects,
  account: KubeObject,
  reference: NonNullable<TokenRequestSpec['boundObjectRef']>,
): Binding {
  const { kind = '', apiVersion = '', name = '', uid } = reference;
  const namespace = account.metadata.namespace ?? '';
  const isPod = kind === 'Pod' && apiVersion === 'v1';
  if (!isPod && !(kind === 'Secret' && apiVersion === 'v1')) {
    throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kind}`);
  }
  const type = isPod ? PODS : SECRETS;
  const found = objects.get(type, namespace, name);
  if (!found) throw notFound(type, name);
  if (uid && uid !== found.metadata.uid) {
    throw conflict(
      type,
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  const bound: BoundObject = { kind: isPod ? 'pod' : 'secret', name, uid: found.metadata.uid ?? '' };
  if (!isPod) return { bound };
  const podSpec = (found.spec ?? {}) as { serviceAccountName?: string; nodeName?: string };
  if (podSpec.serviceAccountName !== account.metadata.name) {
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(account.metadata.name)} to pod running with different serviceaccount name.`,
    );
  }
  const node = podSpec.nodeName ? objects.get(NODES, '', podSpec.nodeName) : undefined;
  return { bound, ...(node ? { node } : {}) };
}
