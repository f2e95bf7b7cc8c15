// SPDX-License-Identifier: Apache-2.0
// The files of a container's own /etc.
import { readFileSync } from 'node:fs';
import type { Pod } from '../pod-types.ts';

export interface DnsSettings {
  /** The cluster's DNS service. */
  readonly address: string;
  /** cluster.local */
  readonly clusterDomain: string;
}

export function podHostname(pod: Pod): string {
  // Linux takes 64 bytes; the kubelet cuts at 63 and leaves no dash or dot at the end.
  return pod.spec.hostname ?? (pod.metadata.name ?? 'pod').slice(0, 63).replace(/[.-]+$/, '');
}

export function buildEtcFiles(
  pod: Pod,
  podIp: string,
  uid: number,
  gid: number,
  dns: DnsSettings,
): Record<string, string> {
  return {
    'resolv.conf': resolvConf(pod, dns),
    hosts: hosts(pod, podIp, dns),
    hostname: `${podHostname(pod)}\n`,
    passwd: passwd(uid, gid),
    group: group(gid),
    // Without nss-resolve and nscd: both go past the pod's resolv.conf by sockets.
    'nsswitch.conf':
      'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n',
    services: 'domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n',
    // Nothing may ever be loaded into the privileged steps of an exec; see root-plan.ts.
    'ld.so.preload': '',
  };
}

/** https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy */
function resolvConf(pod: Pod, dns: DnsSettings, machine: () => string = machineResolvConf): string {
  const policy = pod.spec.dnsPolicy ?? 'ClusterFirst';
  const base = policy === 'None' ? { nameservers: [], searches: [], options: new Map<string, string>() } : undefined;
  const settings =
    base ??
    (policy === 'Default'
      ? parseResolvConf(machine())
      : {
          nameservers: [dns.address],
          searches: [
            `${pod.metadata.namespace}.svc.${dns.clusterDomain}`,
            `svc.${dns.clusterDomain}`,
            dns.clusterDomain,
          ],
          options: new Map([['ndots', '5']]),
        });
  const extra = pod.spec.dnsConfig ?? {};
  const unique = (list: readonly string[]) => [...new Set(list)];
  const nameservers = unique([...settings.nameservers, ...(extra.nameservers ?? [])]);
  const searches = unique([...settings.searches, ...(extra.searches ?? [])]);
  for (const { name, value } of extra.options ?? []) settings.options.set(name, value ?? '');
  const options = [...settings.options].map(([name, value]) => (value === '' ? name : `${name}:${value}`));
  return [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}\n`] : []),
    ...nameservers.map((address) => `nameserver ${address}\n`),
    ...(options.length > 0 ? [`options ${options.join(' ')}\n`] : []),
  ].join('');
}

function machineResolvConf(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return '';
  }
}

function parseResolvConf(text: string) {
  const nameservers: string[] = [];
  const options = new Map<string, string>();
  let searches: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0]) nameservers.push(values[0]);
    if (keyword === 'search') searches = values;
    if (keyword === 'options') {
      for (const option of values) {
        const [name, value] = option.split(':', 2) as [string, string | undefined];
        options.set(name, value ?? '');
      }
    }
  }
  return { nameservers, searches, options };
}

function hosts(pod: Pod, podIp: string, dns: DnsSettings): string {
  const hostname = podHostname(pod);
  const names = pod.spec.subdomain
    ? `${hostname}.${pod.spec.subdomain}.${pod.metadata.namespace}.svc.${dns.clusterDomain}\t${hostname}`
    : hostname;
  const aliases = (pod.spec.hostAliases ?? []).map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}\n`);
  return [
    '# Kubernetes-managed hosts file.\n',
    '127.0.0.1\tlocalhost\n',
    '::1\tlocalhost ip6-localhost ip6-loopback\n',
    `${podIp}\t${names}\n`,
    ...aliases,
  ].join('');
}

export function homeOf(uid: number): string {
  return uid === 0 ? '/root' : '/home';
}

function passwd(uid: number, gid: number): string {
  const users: [string, number, number, string, string][] = [
    ['root', 0, 0, homeOf(0), '/bin/sh'],
    ['istio-proxy', 1337, 1337, '/home', '/bin/sh'],
    ['nobody', 65534, 65534, '/', '/usr/sbin/nologin'],
    ['nonroot', 65532, 65532, '/home', '/bin/sh'],
  ];
  if (!users.some(([, known]) => known === uid)) users.push(['app', uid, gid, homeOf(uid), '/bin/sh']);
  return users.map(([name, id, group, home, shell]) => `${name}:x:${id}:${group}:${name}:${home}:${shell}\n`).join('');
}

function group(gid: number): string {
  const groups: [string, number][] = [
    ['root', 0],
    ['tty', 5],
    ['istio-proxy', 1337],
    ['nogroup', 65534],
    ['nonroot', 65532],
  ];
  if (!groups.some(([, known]) => known === gid)) groups.push(['app', gid]);
  return groups.map(([name, id]) => `${name}:x:${id}:\n`).join('');
}
