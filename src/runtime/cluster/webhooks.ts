// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { ConfigDelivery } from '../../api/config-delivery.ts';
import { admitPod } from '../../injector/admission.ts';
import type { ProxyDefaults } from '../../injector/proxy-wishes.ts';
import type { InjectorSettings } from '../../injector/settings.ts';
import { type AdmissionHandlers, createWebhookServer } from '../../injector/webhook.ts';
import { PreviewChecks } from '../../model/cross-rules/preview-checks.ts';
import type { MeshIndex } from '../../model/snapshot.ts';
import type { TlsIdentity } from '../../xds/grpc/server.ts';
import type { Metrics } from '../metrics.ts';
import type { RootCertDistributor } from './root-cert-distributor.ts';
import { admitMeshObject, warnOfDangling } from './validation.ts';

export interface WebhooksOptions {
  readonly host: string;
  readonly port: number;
  /** Asked again at each `renewed`. */
  readonly tls: () => TlsIdentity;
  readonly injects: boolean;
  readonly validates: boolean;
  readonly settings: () => InjectorSettings | undefined;
  readonly delivery: () => ConfigDelivery;
  readonly defaults: () => ProxyDefaults;
  readonly roots: RootCertDistributor;
  /** What the control plane knows now, for warnings about references. */
  readonly meshIndex: () => MeshIndex;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface Webhooks {
  readonly port: number;
  renewed(): void;
  close(): void;
}

/** Serves /inject and /validate, as far as they are wanted; resolves when it listens. */
export async function startWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const tls = () => {
    const { certPem: cert, keyPem: key } = options.tls();
    return { cert, key };
  };
  const server = createWebhookServer(handlersFor(options), tls());
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    renewed: () => server.setSecureContext(tls()),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function handlersFor({
  injects,
  validates,
  settings,
  delivery,
  defaults,
  roots,
  meshIndex,
  metrics,
  log,
}: WebhooksOptions): AdmissionHandlers {
  const inject: AdmissionHandlers[string] = (request) => {
    const answer = admitPod(request, {
      settings,
      delivery,
      defaults,
      namespaceLabels: (namespace) => roots.labelsOf(namespace),
      observe: ({ namespace, pod, injected, reason }) => {
        if (injected) log.info({ namespace, pod }, 'sidecar added');
        else log.warn({ namespace, pod, reason }, 'no sidecar can be added');
        // Pods may be injected one by one, in namespaces without the label.
        if (injected && request.dryRun !== true) void roots.ensure(namespace);
      },
    });
    metrics.admitted('inject', answer.allowed);
    return answer;
  };
  const checks = new PreviewChecks();
  const validate: AdmissionHandlers[string] = async (request) => {
    const answer = admitMeshObject(request);
    metrics.admitted('validate', answer.allowed);
    if (!answer.allowed) log.info({ reason: answer.message }, 'a mesh object was refused');
    if (!answer.allowed || request.object === null || request.operation === 'DELETE') return answer;
    const dangling = await warnOfDangling(meshIndex, request.object, checks);
    return { ...answer, warnings: [...(answer.warnings ?? []), ...dangling] };
  };
  return { ...(injects ? { '/inject': inject } : {}), ...(validates ? { '/validate': validate } : {}) };
}
