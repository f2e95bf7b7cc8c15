// SPDX-License-Identifier: Apache-2.0
// The mesh's own parts in a cluster: is the control plane there, what has its CA left, what troubles does it tell.
import type { DiagnosticCode, ObjectRef, Severity } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { CaError } from '../../identity/ca-material.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { CONFIG_MAPS, EVENTS, PODS, SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { daysLeft, GIVEN, OWN, readAuthority } from '../../runtime/cluster/ca-secret.ts';
import { PLANE_COMPONENT, type PlaneTrouble, REPEAT_MS } from '../../runtime/health/plane-events.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { Remark } from './judge.ts';

export interface InstallationReport {
  readonly remarks: readonly Remark[];
  /** What could not be looked at, and why. */
  readonly notes: readonly string[];
}

interface PodStatus {
  readonly phase?: string;
  readonly conditions?: readonly { type: string; status: string }[];
  readonly containerStatuses?: readonly {
    readonly state?: { readonly waiting?: { reason?: string; message?: string } };
    readonly lastState?: { readonly terminated?: { reason?: string; exitCode?: number } };
  }[];
}

const DEPLOYMENT: ObjectRef = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: ISTIO_NAMESPACE, name: 'istiod' };
/** Of each trouble that the control plane tells: its code, and what to do. */
const TROUBLES: Readonly<Record<PlaneTrouble, readonly [code: DiagnosticCode, cure: string]>> = {
  ClockSkew: ['ISM0305', 'set the clocks of the nodes (NTP)'],
  RefusedByProxy: ['ISM0306', 'restart the pod that it names (kubectl rollout restart), or set its node’s clock'],
  FileDescriptors: ['ISM0307', 'raise the limit of open files, or find who holds so many connections'],
  RemoteSecret: ['ISM0309', 'mend the Secret; what was known of its cluster stays in force until then'],
  RemoteCluster: [
    'ISM0310',
    'see that the API server can be reached from istiod, and that the Secret’s token is valid',
  ],
  ClusterName: ['ISM0311', 'give each cluster a key of its own in the Secrets labelled istio/multiCluster=true'],
  GatewayName: ['ISM0315', 'mend the name in meshNetworks (kubectl -n istio-system edit cm istio), or its DNS'],
};

export async function inspectInstallation(client: KubeClient): Promise<InstallationReport> {
  const notes: string[] = [];
  const nowMs = (await client.clock()) ?? Date.now();
  const readable = async (what: string, look: () => Promise<Remark[]>): Promise<Remark[]> => {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 403)) throw error;
      notes.push(`${what} not looked at: ${error.message}`);
      return [];
    }
  };
  const remarks = await Promise.all([
    readable('the control plane was', () => inspectPods(client)),
    readable('the CA was', () => inspectCa(client, nowMs)),
    readable('what the control plane tells was', () => inspectEvents(client, nowMs)),
  ]);
  return { remarks: remarks.flat(), notes };
}

async function inspectPods(client: KubeClient): Promise<Remark[]> {
  const { items } = await client.list(PODS, { namespace: ISTIO_NAMESPACE, labelSelector: 'app=istiod' });
  const isReady = (pod: KubeObject) =>
    ((pod['status'] ?? {}) as PodStatus).conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (items.some(isReady)) return [];
  const states = items.map((pod) => `${pod.metadata.name}: ${describePod((pod['status'] ?? {}) as PodStatus)}`);
  const why = states.length === 0 ? 'it has no pod' : states.join('; ');
  const message = `the control plane is not ready (${why}): proxies go on with what they have until their certificates end`;
  const cure = `kubectl -n ${ISTIO_NAMESPACE} describe deployment istiod, and its logs, say why`;
  return [diagnose(DEPLOYMENT, 'ISM0302', '', message, cure)];
}

function describePod({ phase = 'Unknown', containerStatuses = [] }: PodStatus): string {
  const [container] = containerStatuses;
  const waiting = container?.state?.waiting;
  if (waiting !== undefined) return [waiting.reason, waiting.message].filter((part) => part).join(', ');
  const { reason, exitCode } = container?.lastState?.terminated ?? {};
  return reason === undefined ? phase : `${phase}, ended before with ${reason} (${exitCode})`;
}

async function inspectCa(client: KubeClient, nowMs: number): Promise<Remark[]> {
  const given = await client.get(SECRETS, GIVEN, ISTIO_NAMESPACE);
  const secret = given ?? (await client.get(SECRETS, OWN, ISTIO_NAMESPACE));
  if (secret === undefined) return [];
  const ref: ObjectRef = {
    apiVersion: 'v1',
    kind: 'Secret',
    namespace: ISTIO_NAMESPACE,
    name: secret.metadata.name ?? '',
  };
  const renew = 'renew it (isthmus certs --force) and replace the Secret; below the same root that needs no restart';
  try {
    const authority = readAuthority(secret, nowMs);
    const ending = authority.expiry(nowMs).filter(({ state }) => state !== 'ok');
    return [
      ...ending.map(({ what, notAfterMs, state }): Remark => {
        const until = new Date(notAfterMs).toISOString();
        if (state === 'expired') return diagnose(ref, 'ISM0304', '', `${what} expired on ${until}`, renew);
        return diagnose(ref, 'ISM0303', '', `${what} ends in ${daysLeft(notAfterMs, nowMs)} days, on ${until}`, renew);
      }),
      ...(await inspectRoots(client, ref, authority.rootPem)),
    ];
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    return [
      diagnose(ref, 'ISM0304', '', error.message.replace(/\.$/, ''), 'mend the Secret, then restart the control plane'),
    ];
  }
}

/** What proxies are given to trust is of the CA in use, which may be another than the Secret's by now. */
async function inspectRoots(client: KubeClient, secret: ObjectRef, rootPem: string): Promise<Remark[]> {
  const given = await client.get(CONFIG_MAPS, 'istio-ca-root-cert', ISTIO_NAMESPACE);
  const inUse = (given?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'];
  if (inUse === undefined || inUse === rootPem) return [];
  const message = 'its roots are not those in use: it was replaced after the control plane started';
  const cure = 'kubectl -n istio-system rollout restart deployment istiod, then restart everything with a proxy';
  return [diagnose(secret, 'ISM0308', '', message, cure)];
}

async function inspectEvents(client: KubeClient, nowMs: number): Promise<Remark[]> {
  const { items } = await client.list(EVENTS, { namespace: ISTIO_NAMESPACE, fieldSelector: 'involvedObject.kind=Pod' });
  return items.flatMap((event): Remark[] => {
    const known = Object.hasOwn(TROUBLES, String(event['reason']))
      ? TROUBLES[event['reason'] as PlaneTrouble]
      : undefined;
    const ageMs = nowMs - Date.parse(String(event['lastTimestamp']));
    // What stands is told again and again.
    if (known === undefined || event['reportingComponent'] !== PLANE_COMPONENT || ageMs > 2 * REPEAT_MS) return [];
    const { name = '', namespace = '' } = (event['involvedObject'] ?? {}) as { name?: string; namespace?: string };
    const [code, cure] = known;
    return [diagnose({ apiVersion: 'v1', kind: 'Pod', namespace, name }, code, '', String(event['message']), cure)];
  });
}

/** At least as serious as `threshold`. */
export function isAtLeast(severity: Severity, threshold: Severity): boolean {
  const order: readonly Severity[] = ['info', 'warning', 'error'];
  return order.indexOf(severity) >= order.indexOf(threshold);
}
