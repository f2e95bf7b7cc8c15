// SPDX-License-Identifier: Apache-2.0
// The mesh's own parts in a cluster: is the control plane there, what has its CA left, what troubles does it tell.
import type { DiagnosticCode, ObjectRef } from '../../api/diagnostics.ts';
import { refOf } from '../../api/kind.ts';
import { diagnose } from '../../api/report.ts';
import type { KubeClient } from '../../kube/client.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { DEPLOYMENTS, EVENTS, PODS, SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { GIVEN, OWN } from '../../runtime/cluster/ca-secret.ts';
import { ROOT_CERT_CONFIG_MAP, readDistributedRoots } from '../../runtime/cluster/root-cert-distributor.ts';
import { PLANE_COMPONENT } from '../../runtime/events.ts';
import { type PlaneTrouble, REPEAT_MS, SECRET_TROUBLES } from '../../runtime/health/plane-events.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import { judgeAuthority } from './authority.ts';
import type { Remark } from './judge.ts';
import { permitted } from './permitted.ts';
import { inspectRemoteSecrets, type RemoteRegistry } from './remote-secrets.ts';
import { ROOTS_CURE } from './roots.ts';

export interface InstallationReport {
  readonly remarks: readonly Remark[];
  /** What could not be looked at, and why. */
  readonly notes: readonly string[];
  /** `remote`: the control plane of another cluster rules the proxies here. */
  readonly role: 'primary' | 'remote' | 'none';
  /** What the control plane calls its own cluster. */
  readonly clusterName: string | undefined;
  /** Names of all clusters of the mesh; undefined where they could not be read. */
  readonly clusterNames: readonly string[] | undefined;
  /** The other clusters that it watches. */
  readonly registries: readonly RemoteRegistry[];
  /** PEM of what the workloads trust, and the object that says so. */
  readonly roots: { readonly source: ObjectRef; readonly pem: string } | undefined;
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
/** What a remote cluster has in its stead. */
const REMOTE_PARTS = ['istio-citadel', 'istio-sidecar-injector'];
/** Of each trouble that the control plane tells: its code, and what to do. */
const TROUBLES: Readonly<Record<PlaneTrouble, readonly [code: DiagnosticCode, cure: string]>> = {
  ClockSkew: ['ISM0305', 'set the clocks of the nodes (NTP)'],
  RefusedByProxy: ['ISM0306', 'give it the root of the control plane, restart its pod, or set its node’s clock'],
  FileDescriptors: ['ISM0307', 'raise the limit of open files, or find who holds so many connections'],
  RemoteSecret: ['ISM0309', 'mend the Secret; what was known of its cluster stays in force until then'],
  RemoteCluster: [
    'ISM0310',
    'see that the API server can be reached from istiod, and that the Secret’s token is valid',
  ],
  ClusterName: ['ISM0311', `give each cluster a key of its own in the Secrets labelled ${REMOTE_SECRET_LABEL}`],
  ClusterRoots: ['ISM0312', ROOTS_CURE],
  GatewayName: [
    'ISM0315',
    'mend the name where it is written (meshNetworks in ConfigMap istio, or the ServiceEntry), or its DNS',
  ],
};

const ON_SECRETS: ReadonlySet<string> = new Set(SECRET_TROUBLES);

export async function inspectInstallation(client: KubeClient): Promise<InstallationReport> {
  const notes: string[] = [];
  const nowMs = (await client.clock()) ?? Date.now();
  const look = <T, N>(what: string, none: N, read: () => Promise<T>) => permitted(what, none, read, notes);
  const parts = await look('the control plane was', undefined, () => readParts(client));
  const plane = parts?.find(({ metadata }) => metadata.name === DEPLOYMENT.name);
  const clusterName = plane && ownName(plane);
  const secrets = await look('Secrets of remote clusters were', undefined, () => readRemoteSecrets(client));
  const [ofPods, ofCa, ofEvents, roots] = await Promise.all([
    look('the control plane’s pods were', [], () => inspectParts(client, parts)),
    look('the CA was', [], () => inspectCa(client, nowMs)),
    look('what the control plane tells was', [], () => inspectEvents(client, secrets ?? [], nowMs)),
    look('the root certificate was', undefined, () => readTrusted(client)),
  ]);
  const { registries, remarks } = inspectRemoteSecrets(secrets ?? [], clusterName);
  // What a Secret's own text tells, with its line, need not be told again.
  const isNew = ({ code, object }: Remark) =>
    !remarks.some((told) => told.code === code && told.object.name === object.name && object.kind === 'Secret');
  return {
    remarks: [...ofPods, ...ofCa, ...remarks, ...ofEvents.filter(isNew)],
    notes,
    role: plane !== undefined ? 'primary' : parts !== undefined && parts.length > 0 ? 'remote' : 'none',
    clusterNames: secrets && [
      ...(clusterName === undefined ? [] : [clusterName]),
      ...registries.map(({ name }) => name),
    ],
    clusterName,
    registries,
    roots,
  };
}

/** The Deployments of the control plane. */
async function readParts(client: KubeClient): Promise<readonly KubeObject[]> {
  const { items } = await client.list(DEPLOYMENTS, { namespace: ISTIO_NAMESPACE });
  return items.filter(({ metadata }) => [DEPLOYMENT.name, ...REMOTE_PARTS].includes(metadata.name ?? ''));
}

/** What a control plane (its Deployment) calls its own cluster. */
export function ownName({ spec }: KubeObject): string | undefined {
  const { template } = (spec ?? {}) as {
    template?: { spec?: { containers?: readonly { args?: readonly string[] }[] } };
  };
  const args = template?.spec?.containers?.flatMap((container) => container.args ?? []) ?? [];
  const at = args.indexOf('--cluster-id');
  return at < 0 ? undefined : args[at + 1];
}

async function readRemoteSecrets(client: KubeClient): Promise<KubeObject[]> {
  return (await client.list(SECRETS, { namespace: ISTIO_NAMESPACE, labelSelector: REMOTE_SECRET_LABEL })).items;
}

async function inspectParts(client: KubeClient, parts: readonly KubeObject[] | undefined): Promise<Remark[]> {
  if (parts === undefined) return [];
  if (parts.length === 0) return [notReady(DEPLOYMENT, 'it has no pod')];
  const remarks = await Promise.all(parts.map((part) => inspectPart(client, part)));
  return remarks.flat();
}

async function inspectPart(client: KubeClient, { metadata, spec }: KubeObject): Promise<Remark[]> {
  const { selector } = (spec ?? {}) as { selector?: { matchLabels?: Record<string, string> } };
  const labels = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const { items } = await client.list(PODS, { namespace: ISTIO_NAMESPACE, labelSelector: labels.join(',') });
  const isReady = (pod: KubeObject) =>
    ((pod['status'] ?? {}) as PodStatus).conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (items.some(isReady)) return [];
  const states = items.map((pod) => `${pod.metadata.name}: ${describePod((pod['status'] ?? {}) as PodStatus)}`);
  const ref = { ...DEPLOYMENT, name: metadata.name ?? '' };
  return [notReady(ref, states.length === 0 ? 'it has no pod' : states.join('; '))];
}

function notReady(ref: ObjectRef, why: string): Remark {
  const message = `the control plane is not ready (${why}): proxies go on with what they have until their certificates end`;
  const cure = `kubectl -n ${ISTIO_NAMESPACE} describe deployment ${ref.name}, and its logs, say why`;
  return diagnose(ref, 'ISM0302', '', message, cure);
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
  const { remarks, rootPem } = judgeAuthority(secret, nowMs);
  return rootPem === undefined ? remarks : [...remarks, ...(await inspectRoots(client, secret, rootPem))];
}

/** What proxies are given to trust is of the CA in use, which may be another than the Secret's by now. */
async function inspectRoots(client: KubeClient, secret: KubeObject, rootPem: string): Promise<Remark[]> {
  const inUse = await readDistributedRoots(client);
  if (inUse === undefined || inUse === rootPem) return [];
  const message = 'its roots are not those in use: it was replaced after the control plane started';
  const cure =
    'see that all clusters have these roots, or put the one before back: clusters with others would not trust this one any ' +
    'more; then restart the control plane (kubectl -n istio-system rollout restart deployment istiod, or istio-citadel in a ' +
    'remote cluster), then everything with a proxy';
  return [diagnose(refOf(secret), 'ISM0308', '', message, cure)];
}

/** What the workloads have been given, else what they will be. */
async function readTrusted(client: KubeClient): Promise<InstallationReport['roots']> {
  const ref: ObjectRef = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: ISTIO_NAMESPACE,
    name: ROOT_CERT_CONFIG_MAP,
  };
  const inUse = await readDistributedRoots(client);
  if (inUse !== undefined) return { source: ref, pem: inUse };
  for (const name of [GIVEN, OWN]) {
    const secret = await client.get(SECRETS, name, ISTIO_NAMESPACE);
    const pem = (secret?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'];
    if (pem === undefined) continue;
    return { source: { ...ref, kind: 'Secret', name }, pem: Buffer.from(pem, 'base64').toString('utf8') };
  }
  return undefined;
}

/** On the Secret behind a trouble, if there is one, else on the control plane's pod; both as far as they are still there. */
async function inspectEvents(client: KubeClient, secrets: readonly KubeObject[], nowMs: number): Promise<Remark[]> {
  const [{ items }, pods] = await Promise.all([
    client.list(EVENTS, { namespace: ISTIO_NAMESPACE }),
    client.list(PODS, { namespace: ISTIO_NAMESPACE }),
  ]);
  // A pod on its way out says nothing of the one that has taken its place.
  const staying = pods.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const there = new Set([...staying, ...secrets].map(({ metadata }) => metadata.uid));
  return items.flatMap((event): Remark[] => {
    const reason = String(event['reason']);
    const known = Object.hasOwn(TROUBLES, reason) ? TROUBLES[reason as PlaneTrouble] : undefined;
    const ageMs = nowMs - Date.parse(String(event['lastTimestamp']));
    // What stands is told again and again; what is over becomes an Event of type Normal.
    const isOld = ageMs > 2 * REPEAT_MS || event['type'] !== 'Warning';
    if (known === undefined || event['reportingComponent'] !== PLANE_COMPONENT || isOld) return [];
    const { kind = '', name = '', uid } = (event['involvedObject'] ?? {}) as Record<string, string>;
    if (kind !== (ON_SECRETS.has(reason) ? 'Secret' : 'Pod')) return [];
    if (uid !== undefined && !there.has(uid)) return [];
    const [code, cure] = known;
    const ref: ObjectRef = { apiVersion: 'v1', kind, namespace: ISTIO_NAMESPACE, name };
    return [diagnose(ref, code, '', String(event['message']), cure)];
  });
}
