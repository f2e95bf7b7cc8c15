// SPDX-License-Identifier: Apache-2.0
// RBAC, reviews and tokens. Syntax: ../parse.ts.

export const ACCESS_TYPES = `
@rbac.v1
Role
  metadata 1 meta.v1.ObjectMeta
  rules 2 list PolicyRule list=atomic

RoleBinding
  metadata 1 meta.v1.ObjectMeta
  subjects? 2 list Subject list=atomic
  roleRef! 3 RoleRef

ClusterRole
  metadata 1 meta.v1.ObjectMeta
  rules 2 list PolicyRule list=atomic
  aggregationRule* 3 AggregationRule

ClusterRoleBinding
  metadata 1 meta.v1.ObjectMeta
  subjects? 2 list Subject list=atomic
  roleRef! 3 RoleRef

PolicyRule
  verbs! 1 list string list=atomic
  apiGroups? 2 list string list=atomic
  resources? 3 list string list=atomic
  resourceNames? 4 list string list=atomic
  nonResourceURLs? 5 list string list=atomic

Subject atomic
  kind! 1 string
  apiGroup? 2 string
  name! 3 string
  namespace? 4 string

RoleRef atomic
  apiGroup 1 string
  kind! 2 string
  name! 3 string

AggregationRule
  clusterRoleSelectors? 1 list meta.v1.LabelSelector list=atomic

@authentication.v1
TokenRequest
  metadata 1 meta.v1.ObjectMeta
  spec 2 TokenRequestSpec
  status 3 TokenRequestStatus

TokenReview
  metadata 1 meta.v1.ObjectMeta
  spec! 2 TokenReviewSpec
  status 3 TokenReviewStatus

SelfSubjectReview
  metadata 1 meta.v1.ObjectMeta
  status 2 SelfSubjectReviewStatus

TokenRequestSpec
  audiences 1 list string list=atomic
  expirationSeconds* 4 int64
  boundObjectRef* 3 BoundObjectReference
  attestations? 5 map strings

TokenRequestStatus
  token 1 string
  expirationTimestamp 2 time

TokenReviewSpec
  token?! 1 string
  audiences? 2 list string list=atomic

TokenReviewStatus
  authenticated? 1 bool
  user 2 UserInfo
  audiences? 4 list string list=atomic
  error? 3 string

SelfSubjectReviewStatus
  userInfo 1 UserInfo

BoundObjectReference
  kind? 1 string
  apiVersion? 2 string
  name? 3 string
  uid? 4 string

UserInfo
  username? 1 string
  uid? 2 string
  groups? 3 list string list=atomic
  extra? 4 map strings

@authorization.v1
SubjectAccessReview
  metadata 1 meta.v1.ObjectMeta
  spec! 2 SubjectAccessReviewSpec
  status 3 SubjectAccessReviewStatus

SelfSubjectAccessReview
  metadata 1 meta.v1.ObjectMeta
  spec! 2 SelfSubjectAccessReviewSpec
  status 3 SubjectAccessReviewStatus

LocalSubjectAccessReview
  metadata 1 meta.v1.ObjectMeta
  spec! 2 SubjectAccessReviewSpec
  status 3 SubjectAccessReviewStatus

SelfSubjectRulesReview
  metadata 1 meta.v1.ObjectMeta
  spec! 2 SelfSubjectRulesReviewSpec
  status 3 SubjectRulesReviewStatus

SubjectAccessReviewSpec
  resourceAttributes* 1 ResourceAttributes
  nonResourceAttributes* 2 NonResourceAttributes
  user? 3 string
  groups? 4 list string list=atomic
  extra? 5 map strings
  uid? 6 string

SubjectAccessReviewStatus
  allowed! 1 bool
  denied? 4 bool
  reason? 2 string
  evaluationError? 3 string

SelfSubjectAccessReviewSpec
  resourceAttributes* 1 ResourceAttributes
  nonResourceAttributes* 2 NonResourceAttributes

SelfSubjectRulesReviewSpec
  namespace?! 1 string

SubjectRulesReviewStatus
  resourceRules! 1 list ResourceRule list=atomic
  nonResourceRules! 2 list NonResourceRule list=atomic
  incomplete! 3 bool
  evaluationError? 4 string

ResourceAttributes
  namespace? 1 string
  verb? 2 string
  group? 3 string
  version? 4 string
  resource? 5 string
  subresource? 6 string
  name? 7 string
  fieldSelector* 8 FieldSelectorAttributes
  labelSelector* 9 LabelSelectorAttributes

NonResourceAttributes
  path? 1 string
  verb? 2 string

ResourceRule
  verbs! 1 list string list=atomic
  apiGroups? 2 list string list=atomic
  resources? 3 list string list=atomic
  resourceNames? 4 list string list=atomic

NonResourceRule
  verbs! 1 list string list=atomic
  nonResourceURLs? 2 list string list=atomic

FieldSelectorAttributes
  rawSelector? 1 string
  requirements? 2 list meta.v1.FieldSelectorRequirement list=atomic

LabelSelectorAttributes
  rawSelector? 1 string
  requirements? 2 list meta.v1.LabelSelectorRequirement list=atomic
`;
