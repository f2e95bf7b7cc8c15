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
  /** How fast controllers are, here and there: it may happen not to differ. */
  readonly timing?: true;
}

/** Groups and kinds that nothing in a sandbox needs. */
const UNSERVED_GROUPS = '(certificates\\.k8s\\.io|flowcontrol\\.apiserver\\.k8s\\.io|resource\\.k8s\\.io)';
const UNSERVED_KINDS =
  '(networking\\.k8s\\.io\\..*\\.(ipaddresses|servicecidrs)|storage\\.k8s\\.io\\..*\\.(csi\\w+|volumea\\w+))';

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
    where: /^body\.message$/,
    recorded: /(406: Not Acceptable|only the following media types).*application\/vnd\.kubernetes\.protobuf/,
    ours: /(406: Not Acceptable|only the following media types).*application\/yaml/,
    reason: 'protobuf is no form that is written',
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
    request: /^GET \/(openapi\/v3|apis)?(\?|$)/,
    where: new RegExp(`^body\\.(paths\\./?apis/|items\\.|groups\\.)${UNSERVED_GROUPS}(/v1)?$`),
    ours: /^undefined$/,
    reason: 'certificate requests, API priorities and dynamic resources are not served',
  },
  {
    request: /^GET \/apis\?/,
    where: new RegExp(`^body\\.items\\.${UNSERVED_KINDS}$`),
    ours: /^undefined$/,
    reason: 'kinds of storage drivers and of address allocation are not served',
  },
  {
    request: /^GET \/(openapi\/v3|apis)?(\?|$)/,
    where: /^body\.(paths\.\/?apis\/|items\.|groups\.)metrics\.k8s\.io(\/v1beta1)?$/,
    recorded: /^undefined$/,
    reason: 'the recorded cluster had no metrics server; here kubectl top works',
  },
  {
    request: /^GET \/(openapi\/v3|apis)?(\?|$)/,
    where: /^body\.(paths\.\/?apis\/|items\.|groups\.)extensions(\/v1beta1)?$/,
    recorded: /^undefined$/,
    reason: 'Deployments of old manifests are served as extensions/v1beta1 too',
  },
  {
    request: /^GET \/api(\/v1)?(\?|$)/,
    where: /^body\..*resources\.(bindings|pods\/resize|pods\.subresources\.resize)$/,
    ours: /^undefined$/,
    reason: 'pods are bound by pods/binding alone, and are not resized in place',
  },
  {
    request: /^GET \/apis\?/,
    where: /^body\.items\.apiregistration\.k8s\.io\.versions\.v1\.resources\.apiservices\.(verbs\[\d\]|subresources)$/,
    reason: 'nothing can be aggregated: API services are only to be read',
  },
  {
    request: /^POST \/(apis\/(authentication|authorization)\.k8s\.io\/v1\/|api\/v1\/.*\/serviceaccounts\/\w+\/token)/,
    where: /^body\.metadata\.managedFields$/,
    ours: /^undefined$/,
    reason: 'what is answered and not stored has no managed fields',
  },
  {
    where: /^review\.request\.userInfo\.(uid|extra)$/,
    reason: 'the recorded administrator came with a token of a file, ours comes with a certificate',
  },
  {
    where: /^body\.(spec|status)\.audiences\[0\]$/,
    recorded: /^"https:\/\/kubernetes\.default\.svc"$/,
    ours: /^"https:\/\/kubernetes\.default\.svc\.cluster\.local"$/,
    reason: 'the recorded issuer was set up under the shorter name',
  },
];

const IN_FLOWS: readonly KnownDifference[] = [
  {
    flow: 'crd-lifecycle',
    step: 2,
    where: /^events\[1\]\./,
    reason: 'a definition without instances goes at once: no step in which deletion is in progress',
  },
  {
    flow: 'delete-propagation',
    step: 2,
    request: /^GET .*\/deployments\/web$/,
    where: /^(status|body\.)/,
    reason: 'the recorded kubectl met the Deployment still waiting for its pods; ours is gone by then',
    timing: true,
  },
  {
    flow: 'delete-propagation',
    step: 2,
    where: /^events\[1\]\.object\.(status|metadata\.managedFields)/,
    reason: 'the second event shows as much as the Deployment controller had written by then',
    timing: true,
  },
  {
    flow: 'discovery-legacy',
    step: 0,
    where: /^body\.serverAddressByClientCIDRs\[0\]\.serverAddress$/,
    reason: 'the address of the recorded machine, without a placeholder for its port',
  },
  {
    flow: 'field-selectors',
    step: 10,
    where: /managedFields\.cluster Update v1 \.fieldsV1\.f:spec$/,
    ours: /f:finalizers/,
    reason: 'the first namespaces are stored whole, finalizers included, not created by a request',
  },
  {
    flow: 'immutable-fields',
    step: 1,
    where: /^body\.(message|details\.causes\[0\]\.message)$/,
    ours: /pod updates may not change fields other than/,
    reason: 'the real message ends in a diff of Go structs',
  },
  {
    flow: 'more-kinds-create',
    where: /^header warning\[0\]$/,
    ours: /the sandbox (has no|does not)/,
    recorded: /^undefined$/,
    reason: 'what nothing acts on here is said',
  },
  {
    flow: 'more-kinds-create',
    step: 9,
    where: /^body\.metadata\.ownerReferences\[0\]\.uid$/,
    reason: 'the request is protobuf with the uid of the recorded cron job, and comes back with it',
  },
  {
    flow: 'more-kinds-create',
    step: 12,
    where: /^body\.spec\.storageClassName$/,
    ours: /^"standard"$/,
    reason: 'the sandbox has a default storage class, the recorded cluster had none',
  },
  {
    flow: 'namespace-delete-with-contents',
    where: /./,
    step: 0,
    request: /watch=true/,
    reason: 'our namespace controller empties a namespace at once; the recorded one began only when all was over',
    timing: true,
  },
  ...[2, 4, 5, 6].map((step) => ({
    flow: 'namespace-delete-with-contents',
    step,
    where: /./,
    reason: 'as above: what was still there is gone or marked',
    timing: true as const,
  })),
  {
    flow: 'nodes-apiservices',
    where: /^body\.(rows\[0\]\.object\.)?metadata\.annotations$/,
    ours: /^undefined$/,
    recorded: /node\.alpha\.kubernetes\.io\/ttl/,
    reason: 'kubelets here ask for no time to live of Secrets',
  },
  {
    flow: 'nodes-apiservices',
    step: 0,
    where: /^body\.spec\.taints$/,
    ours: /^undefined$/,
    reason: 'a new node is not tainted: the scheduler looks at its conditions',
  },
  {
    flow: 'nodes-apiservices',
    step: 7,
    where: /^body\.metadata\.managedFields$/,
    ours: /^undefined$/,
    reason: 'API services are worked out when asked for, and nobody wrote them',
  },
  {
    flow: 'nodes-apiservices',
    step: 8,
    where: /^body\.rows/,
    reason: 'the recorded controller manager and scheduler could not be reached; here there are none to reach',
  },
  {
    flow: 'patch-json',
    step: 8,
    where: /^body\.details\.causes\[[123]\]$/,
    ours: /^undefined$/,
    reason: 'the real server looks at labels four times and says four times what is wrong',
  },
  ...[0, 1, 2, 4].map((step) => ({
    flow: 'protobuf',
    step,
    where: /./,
    reason: 'protobuf alone is refused with a 406: it is read, not written',
  })),
  {
    flow: 'protobuf',
    step: 3,
    where: /./,
    reason: 'as above, for a list',
  },
  ...[5, 6, 7, 8, 9].map((step) => ({
    flow: 'patch-strategic-directives',
    step,
    where: /^body\.(metadata\.resourceVersion|status\.|metadata\.managedFields\.cluster Update apps\/v1 status\.)/,
    reason: 'how far the rollout has come: the recorded controllers were slower',
    timing: true as const,
  })),
  {
    flow: 'quota-limitrange',
    step: 7,
    where: /^body\.metadata\.resourceVersion$/,
    reason: 'the real server counts a pod in the quota before it is written, ours after',
    timing: true,
  },
  {
    flow: 'rollout',
    step: 0,
    where: /^events\[3\]\.object\.status\.conditions\[1\]\.(reason|message)$/,
    reason: 'our controller writes the new condition a write later',
    timing: true,
  },
  {
    flow: 'service-allocation',
    step: 18,
    where: /managedFields\.cluster Update v1 \.fieldsV1\.f:spec\.(f:clusterIPs|f:ipFamilies)$/,
    reason: 'the kubernetes Service is stored whole, not created by a request',
  },
  {
    flow: 'service-allocation',
    step: 18,
    where: /^body\.spec\.ports\[0\]\.targetPort$/,
    reason: 'where the server listens',
  },
  {
    flow: 'serviceaccount-token-forbidden',
    step: 16,
    where: /^body\.(spec\.namespace|status\.nonResourceRules\[\d\])/,
    reason: "rules come in the order of the bindings' names, elsewhere in no order",
  },
  {
    flow: 'version-health',
    where: /^body\.(minor|emulation\w+|minCompatibility\w+|git\w+|buildDate|goVersion|compiler|platform)$/,
    request: /^GET \/version/,
    reason: 'we are no Go program, and follow 1.32 by name',
  },
  {
    flow: 'version-health',
    step: 2,
    where: /^body$/,
    reason: "checks of the real server's parts",
  },
  {
    flow: 'version-health',
    step: 5,
    where:
      /^body\.paths\.\/(healthz|livez|readyz|apis\/$|logs|metrics|debug|statusz|flagz|openapi|api\/|\.well-known|openid)/,
    reason: "paths of the real server's parts",
  },
  {
    flow: 'webhook-failures',
    step: 8,
    where: /^body\.(message|details\.causes\[2\]\.message)$/,
    reason: 'another CEL compiler with words of its own',
  },
  {
    flow: 'webhook-validating',
    step: 9,
    where: /^body\.reason$/,
    ours: /^undefined$/,
    recorded: /^""$/,
    reason: 'decoded by the recorder from protobuf, where an empty reason stands',
  },
  {
    flow: 'more-kinds-create',
    request: /cronjobs\/cj$/,
    where: /^body\.(metadata\.managedFields\.|metadata\.resourceVersion$|status\.)/,
    reason: 'the minute of its schedule may come while the flow is played',
    timing: true,
  },
];

export const DIFFERENCES: readonly KnownDifference[] = [...EVERYWHERE, ...IN_FLOWS];

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
