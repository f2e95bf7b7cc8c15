// SPDX-License-Identifier: Apache-2.0
// What Istio reads beside the spec of a Service, and nobody here does: said of the Service, so that it is not ignored in silence.
import type { KubeObject } from '../kube/types.ts';
import type { Diagnostic } from './diagnostics.ts';
import { EXPORT_ANNOTATION } from './export-names.ts';
import { refOf } from './kind.ts';
import { DISTRIBUTION_ANNOTATION, isDistribution } from './kubernetes.ts';
import { diagnose, type Locate } from './report.ts';
import { FALLBACK_ANNOTATION, parseTraffic, TRAFFIC_ANNOTATION } from './traffic-shares.ts';

const UNREAD: Readonly<Record<'annotations' | 'labels', Readonly<Record<string, string>>>> = {
  annotations: {
    'traffic.istio.io/nodeSelector':
      'give the addresses of the nodes to meshNetworks: a network may have several gateways',
    'alpha.istio.io/kubernetes-serviceaccounts': 'remove it: who may answer follows from the pods behind the Service',
    'alpha.istio.io/canonical-serviceaccounts': 'remove it: who may answer follows from the pods behind the Service',
  },
  labels: {
    'istio.io/use-waypoint': 'remove it: there are no waypoints, and rules apply at sidecars and gateways',
    'istio.io/persistent-session': 'balance by the hash of a cookie: a DestinationRule with consistentHash.httpCookie',
    'istio.io/persistent-session-header':
      'balance by the hash of a header: a DestinationRule with consistentHash.httpHeaderName',
  },
};

type Say = (field: string, message: string, cure: string) => Diagnostic;

/** What it says to other clusters, and nobody understands. */
function clusterNotes(annotations: Readonly<Record<string, string>> = {}, say: Say): Diagnostic[] {
  const field = (name: string) => `metadata.annotations["${name}"]`;
  const traffic = annotations[TRAFFIC_ANNOTATION];
  const parsed = traffic === undefined ? undefined : parseTraffic(traffic);
  const fallback = annotations[FALLBACK_ANNOTATION];
  const exported = annotations[EXPORT_ANNOTATION];
  return [
    ...(exported === undefined || exported === 'true' || exported === 'false'
      ? []
      : [
          say(
            field(EXPORT_ANNOTATION),
            `${JSON.stringify(exported)} is neither true nor false, so it has no effect`,
            'write "true" to export the service, "false" to keep it home',
          ),
        ]),
    ...(parsed?.ok === false
      ? [say(field(TRAFFIC_ANNOTATION), `${parsed.fault}, so requests go by local-first`, parsed.cure)]
      : []),
    ...(fallback === undefined || fallback === 'true' || fallback === 'false'
      ? []
      : [
          say(
            field(FALLBACK_ANNOTATION),
            `${JSON.stringify(fallback)} is neither true nor false, so it has no effect`,
            'write "false" to keep requests in this cluster',
          ),
        ]),
  ];
}

export function notesOnService(
  raw: KubeObject,
  options: { cluster: string; locate?: Locate | undefined },
): Diagnostic[] {
  const say = (field: string, message: string, cure: string) =>
    diagnose(refOf(raw, options.cluster), 'ISM0005', field, message, cure, { locate: options.locate });
  const found = (['annotations', 'labels'] as const).flatMap((part) =>
    Object.entries(UNREAD[part]).flatMap(([name, cure]) => {
      const value = raw.metadata[part]?.[name];
      if (value === undefined || value === '' || value === 'none') return [];
      return [say(`metadata.${part}["${name}"]`, `\`${name}\` has no effect here`, cure)];
    }),
  );
  found.push(...clusterNotes(raw.metadata.annotations, say));
  const distribution = raw.metadata.annotations?.[DISTRIBUTION_ANNOTATION];
  if (distribution === undefined || isDistribution(distribution)) return found;
  const field = `metadata.annotations["${DISTRIBUTION_ANNOTATION}"]`;
  const cure = 'use PreferClose, PreferSameZone, PreferSameNode or Any';
  return [
    ...found,
    say(field, `${JSON.stringify(distribution)} is no traffic distribution, so any endpoint will do`, cure),
  ];
}
