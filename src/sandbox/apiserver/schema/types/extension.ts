// SPDX-License-Identifier: Apache-2.0
// Admission webhooks and custom resource definitions. Syntax: ../parse.ts.

export const EXTENSION_TYPES = `
@admissionregistration.v1
MutatingWebhookConfiguration
  metadata 1 meta.v1.ObjectMeta
  webhooks? 2 list MutatingWebhook patch=merge:name list=map:name

ValidatingWebhookConfiguration
  metadata 1 meta.v1.ObjectMeta
  webhooks? 2 list ValidatingWebhook patch=merge:name list=map:name

ValidatingAdmissionPolicy
  metadata 1 meta.v1.ObjectMeta
  spec! 2 ValidatingAdmissionPolicySpec
  status 3 ValidatingAdmissionPolicyStatus

ValidatingAdmissionPolicyBinding
  metadata 1 meta.v1.ObjectMeta
  spec! 2 ValidatingAdmissionPolicyBindingSpec

MutatingWebhook
  name! 1 string
  clientConfig! 2 WebhookClientConfig
  rules?! 3 list RuleWithOperations list=atomic
  failurePolicy* 4 string
  matchPolicy* 9 string
  namespaceSelector* 5 meta.v1.LabelSelector
  objectSelector* 11 meta.v1.LabelSelector
  sideEffects~! 6 string
  timeoutSeconds* 7 int32
  admissionReviewVersions! 8 list string list=atomic
  reinvocationPolicy* 10 string
  matchConditions? 12 list MatchCondition patch=merge:name list=map:name

ValidatingWebhook
  name! 1 string
  clientConfig! 2 WebhookClientConfig
  rules?! 3 list RuleWithOperations list=atomic
  failurePolicy* 4 string
  matchPolicy* 9 string
  namespaceSelector* 5 meta.v1.LabelSelector
  objectSelector* 10 meta.v1.LabelSelector
  sideEffects~! 6 string
  timeoutSeconds* 7 int32
  admissionReviewVersions! 8 list string list=atomic
  matchConditions? 11 list MatchCondition patch=merge:name list=map:name

ValidatingAdmissionPolicySpec
  paramKind* 1 ParamKind
  matchConstraints* 2 MatchResources
  validations? 3 list Validation list=atomic
  failurePolicy* 4 string
  auditAnnotations? 5 list AuditAnnotation list=atomic
  matchConditions? 6 list MatchCondition patch=merge:name list=map:name
  variables? 7 list Variable patch=merge:name list=map:name

ValidatingAdmissionPolicyStatus
  observedGeneration? 1 int64
  typeChecking* 2 TypeChecking
  conditions? 3 list meta.v1.Condition list=map:type

ValidatingAdmissionPolicyBindingSpec
  policyName?! 1 string
  paramRef* 2 ParamRef
  matchResources* 3 MatchResources
  validationActions?! 4 list string list=set

WebhookClientConfig
  url* 3 string
  service* 1 ServiceReference
  caBundle? 2 bytes

RuleWithOperations
  operations?! 1 list string list=atomic
  ... 2 Rule

MatchCondition
  name! 1 string
  expression! 2 string

ParamKind atomic
  apiVersion?! 1 string
  kind?! 2 string

MatchResources atomic
  namespaceSelector* 1 meta.v1.LabelSelector
  objectSelector* 2 meta.v1.LabelSelector
  resourceRules? 3 list NamedRuleWithOperations list=atomic
  excludeResourceRules? 4 list NamedRuleWithOperations list=atomic
  matchPolicy* 7 string

Validation
  expression! 1 string
  message? 2 string
  reason* 3 string
  messageExpression? 4 string

AuditAnnotation
  key! 1 string
  valueExpression! 2 string

Variable atomic
  name! 1 string
  expression! 2 string

TypeChecking
  expressionWarnings? 1 list ExpressionWarning list=atomic

ParamRef atomic
  name?! 1 string
  namespace? 2 string
  selector* 3 meta.v1.LabelSelector
  parameterNotFoundAction*! 4 string

ServiceReference
  namespace! 1 string
  name! 2 string
  path* 3 string
  port* 4 int32

Rule
  apiGroups?! 1 list string list=atomic
  apiVersions?! 2 list string list=atomic
  resources?! 3 list string list=atomic
  scope* 4 string

NamedRuleWithOperations atomic
  resourceNames? 1 list string list=atomic
  ... 2 RuleWithOperations

ExpressionWarning
  fieldRef! 2 string
  warning! 3 string

@apiextensions.v1
CustomResourceDefinition
  metadata 1 meta.v1.ObjectMeta
  spec! 2 CustomResourceDefinitionSpec
  status 3 CustomResourceDefinitionStatus

CustomResourceDefinitionSpec
  group! 1 string
  names! 3 CustomResourceDefinitionNames
  scope! 4 string
  versions! 7 list CustomResourceDefinitionVersion list=atomic
  conversion* 9 CustomResourceConversion
  preserveUnknownFields? 10 bool

CustomResourceDefinitionStatus
  conditions 1 list CustomResourceDefinitionCondition list=map:type
  acceptedNames 2 CustomResourceDefinitionNames
  storedVersions 3 list string list=atomic
  observedGeneration? 4 int64

CustomResourceDefinitionNames
  plural! 1 string
  singular? 2 string
  shortNames? 3 list string list=atomic
  kind! 4 string
  listKind? 5 string
  categories? 6 list string list=atomic

CustomResourceDefinitionVersion
  name! 1 string
  served! 2 bool
  storage! 3 bool
  deprecated? 7 bool
  deprecationWarning* 8 string
  schema* 4 CustomResourceValidation
  subresources* 5 CustomResourceSubresources
  additionalPrinterColumns? 6 list CustomResourceColumnDefinition list=atomic
  selectableFields? 9 list SelectableField list=atomic

CustomResourceConversion
  strategy! 1 string
  webhook* 2 WebhookConversion

CustomResourceDefinitionCondition
  type! 1 string
  status! 2 string
  lastTransitionTime 3 time
  reason? 4 string
  message? 5 string
  observedGeneration? 6 int64

CustomResourceValidation
  openAPIV3Schema* 1 JSONSchemaProps

CustomResourceSubresources
  status* 1 CustomResourceSubresourceStatus
  scale* 2 CustomResourceSubresourceScale

CustomResourceColumnDefinition
  name! 1 string
  type! 2 string
  format? 3 string
  description? 4 string
  priority? 5 int32
  jsonPath! 6 string

SelectableField
  jsonPath! 1 string

WebhookConversion
  clientConfig* 2 WebhookClientConfig
  conversionReviewVersions! 3 list string list=atomic

JSONSchemaProps
  id? 1 string
  $schema? 2 string
  $ref? 3 string
  description? 4 string
  type? 5 string
  format? 6 string
  title? 7 string
  default* 8 any
  maximum* 9 double
  exclusiveMaximum? 10 bool
  minimum* 11 double
  exclusiveMinimum? 12 bool
  maxLength* 13 int64
  minLength* 14 int64
  pattern? 15 string
  maxItems* 16 int64
  minItems* 17 int64
  uniqueItems? 18 bool
  multipleOf* 19 double
  enum? 20 list any list=atomic
  maxProperties* 21 int64
  minProperties* 22 int64
  required? 23 list string list=atomic
  items* 24 JSONSchemaProps
  allOf? 25 list JSONSchemaProps list=atomic
  oneOf? 26 list JSONSchemaProps list=atomic
  anyOf? 27 list JSONSchemaProps list=atomic
  not* 28 JSONSchemaProps
  properties? 29 map JSONSchemaProps
  additionalProperties* 30 any
  patternProperties? 31 map JSONSchemaProps
  dependencies? 32 any
  additionalItems* 33 any
  definitions? 34 map JSONSchemaProps
  externalDocs* 35 ExternalDocumentation
  example* 36 any
  nullable? 37 bool
  x-kubernetes-preserve-unknown-fields* 38 bool
  x-kubernetes-embedded-resource? 39 bool
  x-kubernetes-int-or-string? 40 bool
  x-kubernetes-list-map-keys? 41 list string list=atomic
  x-kubernetes-list-type* 42 string
  x-kubernetes-map-type* 43 string
  x-kubernetes-validations? 44 list ValidationRule patch=merge:rule list=map:rule

CustomResourceSubresourceStatus

CustomResourceSubresourceScale
  specReplicasPath! 1 string
  statusReplicasPath! 2 string
  labelSelectorPath* 3 string

WebhookClientConfig
  url* 3 string
  service* 1 ServiceReference
  caBundle? 2 bytes

ExternalDocumentation
  description?! 1 string
  url?! 2 string

ValidationRule
  rule! 1 string
  message?! 2 string
  messageExpression? 3 string
  reason* 4 string
  fieldPath? 5 string
  optionalOldSelf* 6 bool

ServiceReference
  namespace! 1 string
  name! 2 string
  path* 3 string
  port* 4 int32
`;
