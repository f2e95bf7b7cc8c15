// SPDX-License-Identifier: Apache-2.0
// What the pod's own proxy has, asked in its container: its admin interface listens nowhere else.
import { ADMIN_PIPE, askAdmin } from '../../../../injector/admin-request.ts';
import type { ProxySight } from './wire.ts';

interface Clusters {
  readonly cluster_statuses?: readonly {
    readonly name?: string;
    readonly host_statuses?: readonly {
      readonly address?: { readonly socket_address?: { readonly address?: string; readonly port_value?: number } };
    }[];
  }[];
}
interface Certs {
  readonly certificates?: readonly {
    readonly cert_chain?: readonly {
      readonly valid_from?: string;
      readonly expiration_time?: string;
      readonly subject_alt_names?: readonly { readonly uri?: string }[];
    }[];
  }[];
}

/** @param destination name of the cluster: `outbound|8080||HOST` */
export async function readProxy(destination: string): Promise<ProxySight> {
  const pattern = encodeURIComponent(`^${destination.replaceAll(/[.|]/g, '\\$&')}$`);
  const [clusters, config, certs, stats] = await Promise.all([
    admin('/clusters?format=json') as Promise<Clusters>,
    admin(`/config_dump?resource=dynamic_active_clusters&name_regex=${pattern}`) as Promise<{ configs?: unknown[] }>,
    admin('/certs') as Promise<Certs>,
    admin('/stats?format=json&filter=^control_plane.connected_state$') as Promise<{ stats?: { value?: number }[] }>,
  ]);
  const found = clusters.cluster_statuses?.find(({ name }) => name === destination);
  const own = (certs.certificates ?? [])
    .flatMap(({ cert_chain = [] }) => cert_chain)
    .find(({ subject_alt_names = [] }) => subject_alt_names.some(({ uri }) => uri?.startsWith('spiffe://')));
  return {
    connected: stats.stats?.some(({ value }) => value === 1) ?? false,
    ...(found && {
      destination: {
        tls: JSON.stringify(config).includes('"common_tls_context"'),
        endpoints: (found.host_statuses ?? []).map(({ address }) => {
          const { address: ip = '?', port_value: port = 0 } = address?.socket_address ?? {};
          return `${ip}:${port}`;
        }),
      },
    }),
    ...(own && {
      certificate: {
        notBeforeMs: Date.parse(own.valid_from ?? ''),
        notAfterMs: Date.parse(own.expiration_time ?? ''),
      },
    }),
  };
}

async function admin(path: string): Promise<unknown> {
  const body = await askAdmin(ADMIN_PIPE, 'GET', path);
  try {
    return JSON.parse(body === '' ? '{}' : body);
  } catch {
    throw new Error(`Envoy answers ${path} with ${body.slice(0, 100)}`);
  }
}
