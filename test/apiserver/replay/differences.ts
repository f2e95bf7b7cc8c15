// SPDX-License-Identifier: Apache-2.0
// Where our server answers otherwise than the recorded one, and why. What is not here fails the replay; so does an
// entry that no longer differs.
import type { Difference } from './matching.ts';

export interface KnownDifference {
  /** Default: any flow. */
  readonly flow?: string;
  /** Of the flow, from 0. Default: any. */
  readonly step?: number;
  /** What the recorded request ("GET /api/v1/...") must match. */
  readonly request?: RegExp;
  readonly where: RegExp;
  /** What our value, as JSON, must match. */
  readonly ours?: RegExp;
  /** What the recorded value, as JSON, must match. */
  readonly recorded?: RegExp;
  readonly reason: string;
}

/** Reasons that hold for every flow. */
const EVERYWHERE: readonly KnownDifference[] = [
  {
    where: /\.manager$/,
    recorded: /^"kas"$/,
    ours: /^"kube-(controller-manager|apiserver)"$/,
    reason: 'the recorded binary had the file name kas',
  },
  {
    where: /^header content-type$/,
    recorded: /^"application\/vnd\.kubernetes\.protobuf"$/,
    ours: /^"application\/json"$/,
    reason: 'protobuf is read, not written: whoever asks for it takes JSON too',
  },
  {
    request: /^GET \/openapi\/v3(\?|$)/,
    where: /^header content-type$/,
    recorded: /^"text\/plain; charset=utf-8"$/,
    ours: /^"application\/json"$/,
    reason: 'the index is JSON, and is called so',
  },
  {
    request: /^GET \/openapi\/v3(\?|$)/,
    where: /^body\.paths\.(\.well-known\/openid-configuration|api|apis|apis\/[^/]+|openid\/v1\/jwks|version)$/,
    ours: /^undefined$/,
    reason: 'only the groups are described, not discovery itself and the plain paths',
  },
  {
    request: /^GET \/openapi\/v3(\?|$)/,
    where: /^body\.paths\.apis\/(certificates\.k8s\.io|flowcontrol\.apiserver\.k8s\.io|resource\.k8s\.io)\/v1$/,
    ours: /^undefined$/,
    reason: 'groups that nothing in a sandbox needs',
  },
  {
    request: /^GET \/openapi\/v3(\?|$)/,
    where: /^body\.paths\.apis\/metrics\.k8s\.io\/v1beta1$/,
    recorded: /^undefined$/,
    reason: 'the recorded cluster had no metrics server; here kubectl top works',
  },
  {
    request: /^GET \/openapi\/v3(\?|$)/,
    where: /^body\.paths\.apis\/extensions\/v1beta1$/,
    recorded: /^undefined$/,
    reason: 'Deployments of old manifests are served as extensions/v1beta1 too',
  },
];

const IN_FLOWS: readonly KnownDifference[] = [];

/** Flows that nobody has gone through yet. */
const PENDING: readonly KnownDifference[] = [
  'apply-configmap',
  'apply-deployment-merge-keys',
  'apply-server-side',
  'apply-server-side-list-map',
  'bad-requests',
  'configmap-create-from-file',
  'crd-invalid',
  'crd-lifecycle',
  'crd-subresources',
  'crd-validation',
  'crd-versions',
  'delete-finalizers',
  'delete-propagation',
  'deletecollection',
  'discovery-cold',
  'discovery-legacy',
  'dry-run-server',
  'edit',
  'endpoints-endpointslices',
  'events',
  'field-selectors',
  'field-validation',
  'generate-name',
  'immutable-fields',
  'invalid-422',
  'label-selectors',
  'leases',
  'more-kinds-create',
  'multi-document-apply',
  'namespace-delete-with-contents',
  'namespace-lifecycle',
  'nodes-apiservices',
  'openapi-explain',
  'ownerreferences-gc',
  'patch-json',
  'patch-merge',
  'patch-strategic-directives',
  'pod-lifecycle',
  'protobuf',
  'quota-limitrange',
  'rbac',
  'replace',
  'rollout',
  'scale',
  'secret-generic',
  'service-allocation',
  'serviceaccount-legacy-secret',
  'serviceaccount-token-forbidden',
  'status-subresource',
  'table-output',
  'validating-admission-policy',
  'version-health',
  'wait',
  'watch-bookmarks',
  'watch-kubectl',
  'webhook-failures',
  'webhook-mutating',
  'webhook-validating',
].map((flow) => ({ flow, where: /./, reason: 'not gone through yet' }));

export const DIFFERENCES: readonly KnownDifference[] = [...EVERYWHERE, ...IN_FLOWS, ...PENDING];

export function covers(
  known: KnownDifference,
  flow: string,
  step: number,
  request: string,
  { where, ours, recorded }: Difference,
): boolean {
  return (
    (known.flow === undefined || known.flow === flow) &&
    (known.step === undefined || known.step === step) &&
    (known.request === undefined || known.request.test(request)) &&
    known.where.test(where) &&
    (known.ours === undefined || known.ours.test(ours)) &&
    (known.recorded === undefined || known.recorded.test(recorded))
  );
}
