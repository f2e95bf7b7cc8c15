// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino';
import type { Diagnostic } from '../../api/diagnostics.ts';
import type { Clock } from '../../identity/renewal.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { RefusalEvents } from '../findings/refusal-events.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';
import { DiagnosticLog } from '../streams/xds-log.ts';
import { ProxySecrets } from './proxy-secrets.ts';
import { KubeSecretReader } from './secret-reader.ts';

interface ProxySecretsOptions {
  readonly client: KubeClient;
  /** The own one. */
  readonly cluster: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Other clusters, each by the account that it is watched by. */
  readonly others: () => readonly { readonly cluster: string; readonly client: KubeClient }[];
  readonly onDiagnostics: (diagnostics: readonly Diagnostic[]) => void;
}

/** Keys and roots that rules name, of all clusters; what is wrong with one is in the log and an Event of the rule, too. */
export function createProxySecrets(options: ProxySecretsOptions, events: RefusalEvents): ProxySecrets {
  const { client, cluster, log, clock } = options;
  const accessTo = (of: string) => {
    if (of === cluster) return { client, account: `${ISTIO_NAMESPACE}:istiod` };
    const other = options.others().find((reviewer) => reviewer.cluster === of);
    return other && { client: other.client, account: `${ISTIO_NAMESPACE}:istio-multi` };
  };
  const diagnosticLog = new DiagnosticLog(log);
  return new ProxySecrets({
    reader: new KubeSecretReader(accessTo),
    clock,
    onDiagnostics: (diagnostics) => {
      diagnosticLog.take(diagnostics);
      for (const { object, message, cure } of diagnostics)
        void events.tellOf(object, 'SecretNotServed', `${message}: ${cure}`);
      options.onDiagnostics(diagnostics);
    },
  });
}
