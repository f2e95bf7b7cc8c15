// SPDX-License-Identifier: Apache-2.0
// The sandbox's wires: the external network in the first namespace, and one router namespace per cluster.
import { applyRules } from '../../netfilter/apply.ts';
import type { RuleTable } from '../../netfilter/rules.ts';
import {
  type ClusterAddresses,
  EXTERNAL_BRIDGE,
  EXTERNAL_CIDR,
  EXTERNAL_GATEWAY,
  EXTERNAL_LEG,
  SERVICE_CIDR,
} from './addresses.ts';
import { runScript } from './command.ts';

/**
 * Builds everything, once per sandbox, from inside of its first network namespace (which must be new).
 * @throws Error with the output of the command that failed.
 */
export async function buildNetwork(clusters: readonly ClusterAddresses[]): Promise<void> {
  await runScript(renderExternalNetwork(clusters));
  await Promise.all(
    clusters.map(async (cluster) => {
      const peers = clusters.filter((other) => other !== cluster && other.network === cluster.network);
      await runScript(renderRouter(cluster, peers));
      await applyRules(routerRules(cluster, peers), { netns: `/run/netns/${cluster.netns}` });
    }),
  );
}

/**
 * A bridge without an address of its own takes the lowest of its ports': a new pod would change it now and then, and
 * everybody who remembers the old one would talk to nobody for half a minute.
 */
function bridgeMac(ip: string): string {
  const bytes = ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `02:00:${bytes.join(':')}`;
}

/** The first namespace joins the routers by a bridge and forwards nothing. */
function renderExternalNetwork(clusters: readonly ClusterAddresses[]): string {
  const prefix = EXTERNAL_CIDR.split('/')[1]!;
  const legs = clusters.flatMap(({ netns }) => [
    `netns add ${netns}`,
    `link add x-${netns} type veth peer name ${EXTERNAL_LEG} netns ${netns}`,
    `link set x-${netns} master ${EXTERNAL_BRIDGE} up`,
  ]);
  return `
${renderKernelSettings({ forward: false })}
ip -batch - <<'EOF'
link set lo up
link add ${EXTERNAL_BRIDGE} address ${bridgeMac(EXTERNAL_GATEWAY)} type bridge
addr add ${EXTERNAL_GATEWAY}/${prefix} dev ${EXTERNAL_BRIDGE}
link set ${EXTERNAL_BRIDGE} up
${legs.join('\n')}
EOF
`;
}

/**
 * Service and load balancer addresses are local to the router as whole ranges ("AnyIP"): the service proxy listens on
 * any of them without an address being added, and the kernel answers ARP for the load balancers' on the external leg.
 * Clusters of one network know the way to one another's pods.
 * There is no default route: what is in no cluster and not on the external network is unreachable, at once.
 */
function renderRouter(cluster: ClusterAddresses, peers: readonly ClusterAddresses[]): string {
  const prefix = EXTERNAL_CIDR.split('/')[1]!;
  return `
nsenter --net=/run/netns/${cluster.netns} sh -e <<'ROUTER'
${renderKernelSettings({ forward: true })}
ip -batch - <<'EOF'
link set lo up
addr add ${cluster.nodeAddress}/${prefix} dev ${EXTERNAL_LEG}
link set ${EXTERNAL_LEG} up
link add ${cluster.podBridge} address ${bridgeMac(cluster.podGateway)} type bridge
addr add ${cluster.podGateway}/${cluster.podCidr.split('/')[1]} dev ${cluster.podBridge}
link set ${cluster.podBridge} up
route add local ${SERVICE_CIDR} dev lo
${cluster.loadBalancerAddresses.map((address) => `route add local ${address} dev lo`).join('\n')}
${peers.map(({ podCidr, nodeAddress }) => `route add ${podCidr} via ${nodeAddress}`).join('\n')}
EOF
ROUTER
`;
}

/**
 * Strict reverse-path filtering: a pod cannot send with an address that is not of its network. Bridged frames stay out
 * of the rules (bridge-nf-call-iptables is 1 in a new namespace where the host has loaded br_netfilter).
 */
function renderKernelSettings({ forward }: { forward: boolean }): string {
  return `
cd /proc/sys/net
for f in ipv6/conf/all/disable_ipv6 ipv6/conf/default/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done
[ ! -e bridge/bridge-nf-call-iptables ] || echo 0 > bridge/bridge-nf-call-iptables
for f in all default; do echo 1 > ipv4/conf/$f/rp_filter; done
echo ${forward ? 1 : 0} > ipv4/ip_forward
`;
}

/**
 * From the external network: answers only, never into the pods (forward) but from clusters of the same network, and on
 * this machine only to addresses of the external network (input): the service addresses are this cluster's own.
 */
function routerRules(cluster: ClusterAddresses, peers: readonly ClusterAddresses[]): RuleTable {
  const fromOutside = { kind: 'iifname', name: EXTERNAL_LEG } as const;
  const accept = { kind: 'accept' } as const;
  const peerSources = peers.flatMap(({ podCidr, nodeAddress }) => [podCidr, nodeAddress]);
  return {
    name: 'isthmus_router',
    chains: [
      {
        name: 'into_router',
        type: 'filter',
        hook: 'input',
        priority: 0,
        rules: [{ match: [fromOutside, { kind: 'daddr', cidr: EXTERNAL_CIDR, not: true }], verdict: { kind: 'drop' } }],
      },
      {
        name: 'into_pods',
        type: 'filter',
        hook: 'forward',
        priority: 0,
        rules: [
          {
            match: [fromOutside, { kind: 'ctState', states: ['established', 'related'] }],
            verdict: accept,
          },
          ...peerSources.map((cidr) => ({ match: [fromOutside, { kind: 'saddr', cidr } as const], verdict: accept })),
          { match: [fromOutside], verdict: { kind: 'drop' } },
        ],
      },
      {
        name: 'out_of_pods',
        type: 'nat',
        hook: 'postrouting',
        priority: 100,
        rules: [
          ...peers.map(({ podCidr }) => ({ match: [{ kind: 'daddr', cidr: podCidr } as const], verdict: accept })),
          {
            match: [
              { kind: 'oifname', name: EXTERNAL_LEG },
              { kind: 'saddr', cidr: cluster.podCidr },
            ],
            verdict: { kind: 'masquerade' },
          },
        ],
      },
    ],
  };
}
