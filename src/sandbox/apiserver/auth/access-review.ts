// SPDX-License-Identifier: Apache-2.0
// authorization.k8s.io and authentication.k8s.io: resources that answer a question and are never stored.
import type { KubeObject } from '../../../kube/types.ts';
import type { Attributes, Decision, UserInfo, VirtualResource } from '../seams.ts';
import { badRequest, invalid } from '../status.ts';
import type { RbacAuthorizer } from './rbac-authorizer.ts';
import { API_AUDIENCES, ISSUER, TokenRefused, type TokenService } from './token-service.ts';

const AUTHORIZATION = 'authorization.k8s.io';
const AUTHENTICATION = 'authentication.k8s.io';

interface ReviewSpec {
  readonly resourceAttributes?: Partial<
    Record<'namespace' | 'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'name', string>
  >;
  readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string };
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly uid?: string;
  readonly extra?: Record<string, readonly string[]>;
}

/** SubjectAccessReview and its kin, SelfSubjectReview and TokenReview. */
export function reviewResources(authorizer: RbacAuthorizer, tokens: TokenService, now: () => Date): VirtualResource[] {
  return [
    subjectAccessReview(authorizer, 'SubjectAccessReview', false),
    subjectAccessReview(authorizer, 'LocalSubjectAccessReview', true),
    selfSubjectAccessReview(authorizer),
    selfSubjectRulesReview(authorizer),
    selfSubjectReview(now),
    tokenReview(tokens),
  ];
}

function virtual(group: string, kind: string, create: VirtualResource['create'], namespaced = false): VirtualResource {
  return { group, versions: ['v1'], resource: `${kind.toLowerCase()}s`, kind, namespaced, create };
}

function subjectAccessReview(authorizer: RbacAuthorizer, kind: string, namespaced: boolean): VirtualResource {
  return virtual(
    AUTHORIZATION,
    kind,
    async (object, { namespace }) => {
      const spec = (object.spec ?? {}) as ReviewSpec;
      if (!spec.user && !spec.groups?.length) {
        const message = 'at least one of user or group must be specified';
        throw invalid(AUTHORIZATION, kind, '', [
          { reason: 'FieldValueInvalid', field: 'spec.user', message: `Invalid value: "": ${message}` },
        ]);
      }
      const attributes = attributesOf(spec, kind);
      if (namespaced && attributes.namespace !== namespace) {
        throw badRequest(
          `spec.resourceAttributes.namespace must match namespace: ${attributes.namespace}, ${namespace}`,
        );
      }
      const user: UserInfo = {
        username: spec.user ?? '',
        groups: spec.groups ?? [],
        ...(spec.uid ? { uid: spec.uid } : {}),
        ...(spec.extra ? { extra: spec.extra } : {}),
      };
      return { ...object, status: decisionStatus(authorizer.authorize(user, attributes)) };
    },
    namespaced,
  );
}

function selfSubjectAccessReview(authorizer: RbacAuthorizer): VirtualResource {
  return virtual(AUTHORIZATION, 'SelfSubjectAccessReview', async (object, { user }) => {
    const attributes = attributesOf((object.spec ?? {}) as ReviewSpec, 'SelfSubjectAccessReview');
    return { ...object, status: decisionStatus(authorizer.authorize(user, attributes)) };
  });
}

function decisionStatus({ allowed, reason }: Decision): Record<string, unknown> {
  return { allowed, ...(reason ? { reason } : {}) };
}

function attributesOf(spec: ReviewSpec, kind: string): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if ((resource === undefined) === (path === undefined)) {
    const message = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    throw invalid(AUTHORIZATION, kind, '', [
      { reason: 'FieldValueInvalid', field: 'spec.resourceAttributes', message: `Invalid value: null: ${message}` },
    ]);
  }
  return {
    verb: resource?.verb ?? path?.verb ?? '',
    isResource: resource !== undefined,
    group: resource?.group ?? '',
    version: resource?.version ?? '',
    resource: resource?.resource ?? '',
    subresource: resource?.subresource ?? '',
    namespace: resource?.namespace ?? '',
    name: resource?.name ?? '',
    path: path?.path ?? '',
  };
}

function selfSubjectRulesReview(authorizer: RbacAuthorizer): VirtualResource {
  return virtual(AUTHORIZATION, 'SelfSubjectRulesReview', async (object, { user }) => {
    const namespace = (object.spec as { namespace?: string } | undefined)?.namespace;
    if (!namespace) throw badRequest('no namespace on request');
    const rules = authorizer.rulesFor(user, namespace);
    return {
      ...object,
      // As the real server answers: the question is not repeated.
      spec: {},
      status: {
        resourceRules: rules.filter((rule) => rule.resources?.length),
        nonResourceRules: rules
          .filter((rule) => rule.nonResourceURLs?.length)
          .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
        incomplete: false,
      },
    };
  });
}

function selfSubjectReview(now: () => Date): VirtualResource {
  return virtual(AUTHENTICATION, 'SelfSubjectReview', async (object, { user }) => ({
    ...object,
    metadata: { ...object.metadata, creationTimestamp: `${now().toISOString().slice(0, 19)}Z` },
    status: { userInfo: userInfoJson(user) },
  }));
}

export function userInfoJson(user: UserInfo): Record<string, unknown> {
  const { username, uid, groups, extra } = user;
  return { username, ...(uid ? { uid } : {}), groups, ...(extra ? { extra } : {}) };
}

function tokenReview(tokens: TokenService): VirtualResource {
  return virtual(AUTHENTICATION, 'TokenReview', async (object) => {
    const spec = (object.spec ?? {}) as { token?: string; audiences?: string[] };
    if (!spec.token) throw badRequest('token is required for TokenReview in authentication');
    return { ...object, status: reviewToken(tokens, spec.token, spec.audiences) } as KubeObject;
  });
}

function reviewToken(tokens: TokenService, token: string, audiences: string[] | undefined): Record<string, unknown> {
  try {
    const identity = tokens.identify(token, audiences?.length ? audiences : API_AUDIENCES);
    return {
      authenticated: true,
      user: userInfoJson(identity.user),
      audiences: audiences?.length ? identity.audiences : [ISSUER],
    };
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    const invalidToken = 'invalid bearer token';
    return { user: {}, error: error.message === invalidToken ? invalidToken : `[${invalidToken}, ${error.message}]` };
  }
}
