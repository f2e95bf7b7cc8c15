// SPDX-License-Identifier: Apache-2.0
// A pod's network: a namespace of its own, one veth to the cluster's bridge, an address that stays the pod's.
import { existsSync } from 'node:fs';
import { AddressLeases } from './address-leases.ts';
import type { ClusterAddresses } from './addresses.ts';
import { runScript } from './command.ts';

export interface PodAttachment {
  readonly ip: string;
  /** The network namespace's name under /run/netns. */
  readonly netns: string;
}

export interface PodNetwork {
  /** Gives the pod its namespace and address. Idempotent: attached again, a pod keeps both. */
  attach(podUid: string): Promise<PodAttachment>;
  /** Takes both away; the pod's processes must be gone, or the kernel keeps the namespace until they are. Idempotent. */
  detach(podUid: string): Promise<void>;
  /** The UIDs of all pods that hold an address, also from before a restart: detach those that no longer exist. */
  recover(): Promise<string[]>;
}

export interface PodNetworkOptions {
  readonly cluster: Pick<ClusterAddresses, 'index' | 'podBridge' | 'podCidr' | 'podGateway'>;
  /** Where the leases are kept (0600), e.g. `<state>/cluster1/node/addresses.json`. */
  readonly leaseFile: string;
}

/** The calling process must run in the cluster's router namespace, with CAP_NET_ADMIN and CAP_SYS_ADMIN there. */
export function createPodNetwork(options: PodNetworkOptions): PodNetwork {
  const { cluster } = options;
  const leases = new AddressLeases(options.leaseFile, cluster.podCidr);
  const pending = new Map<string, Promise<unknown>>();

  /** One operation at a time per pod: a detach must not overtake the attach before it. */
  function inOrder<T>(podUid: string, operation: () => Promise<T>): Promise<T> {
    const previous = pending.get(podUid) ?? Promise.resolve();
    const next = previous.then(operation, operation);
    const settled = next
      .catch(() => {})
      .finally(() => {
        if (pending.get(podUid) === settled) pending.delete(podUid);
      });
    pending.set(podUid, settled);
    return next;
  }

  const namespaceOf = (podUid: string) => `${namespacePrefix(cluster)}${podUid.replaceAll(/[^A-Za-z0-9-]/g, '-')}`;

  return {
    attach: (podUid) =>
      inOrder(podUid, async () => {
        const ip = leases.acquire(podUid);
        const netns = namespaceOf(podUid);
        if (existsSync(readyFile(netns))) return { ip, netns };
        await runScript(renderAttach({ netns, ip, veth: vethName(ip), cluster }));
        return { ip, netns };
      }),
    detach: (podUid) =>
      inOrder(podUid, async () => {
        if (!leases.podUids().includes(podUid)) return;
        await runScript(renderDetach(namespaceOf(podUid), vethName(leases.acquire(podUid))));
        leases.release(podUid);
      }),
    recover: async () => leases.podUids(),
  };
}

function namespacePrefix({ index }: Pick<ClusterAddresses, 'index'>): string {
  return `pod${index}-`;
}

/** Takes every pod's namespace of a cluster away, whoever made it; no process may be in them. With it go its leases. */
export async function removePodNamespaces(cluster: Pick<ClusterAddresses, 'index'>): Promise<void> {
  const prefix = namespacePrefix(cluster);
  await runScript(`
for namespace in /run/netns/${prefix}*; do
  [ ! -e "$namespace" ] || ip netns del "\${namespace##*/}"
done
rm -f /run/${prefix}*.ready
`);
}

/** Not in /run/netns, where everything that `ip netns` lists must be a namespace. */
function readyFile(netns: string): string {
  return `/run/${netns}.ready`;
}

/** Unique per address and within the kernel's 15 characters: `v0a01000a` for 10.1.0.10. */
function vethName(ip: string): string {
  const bytes = ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `v${bytes.join('')}`;
}

interface AttachPlan {
  netns: string;
  ip: string;
  veth: string;
  cluster: PodNetworkOptions['cluster'];
}

/**
 * What a crash left half done is removed first; the ready file, written last, tells a finished namespace from that.
 * bridge-nf-call-iptables is 1 in a new namespace and would send bridged frames through the redirect rules.
 * ip_unprivileged_port_start=0: programs without capabilities may listen on 80 and 443, as in a container.
 */
function renderAttach({ netns, ip, veth, cluster }: AttachPlan): string {
  return `
if [ -e /run/netns/${netns} ]; then ip link del ${veth} 2>/dev/null || :; ip netns del ${netns} 2>/dev/null || :; fi
ip -batch - <<'EOF'
netns add ${netns}
link add ${veth} type veth peer name eth0 netns ${netns}
link set ${veth} master ${cluster.podBridge} up
EOF
nsenter --net=/run/netns/${netns} sh -e <<'EOF'
cd /proc/sys/net
for f in ipv6/conf/all/disable_ipv6 ipv6/conf/default/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done
for f in ipv4/ip_unprivileged_port_start bridge/bridge-nf-call-iptables; do [ ! -e $f ] || echo 0 > $f; done
for f in all default eth0; do echo 1 > ipv4/conf/$f/rp_filter; done
exec ip -batch - <<'BATCH'
link set lo up
addr add ${ip}/16 dev eth0
link set eth0 up
route add default via ${cluster.podGateway}
BATCH
EOF
: > ${readyFile(netns)}
`;
}

/** With the veth goes the pod's only way out, even while a process of it keeps the namespace alive. */
function renderDetach(netns: string, veth: string): string {
  return `
rm -f ${readyFile(netns)}
ip link del ${veth} 2>/dev/null || :
[ ! -e /run/netns/${netns} ] || ip netns del ${netns}
`;
}
