// SPDX-License-Identifier: Apache-2.0
// Is there a door into each cluster, and does the mesh know where.
import { isPlaceholder, type MeshNetworks } from '../../../../api/mesh-networks.ts';
import { clusterOf } from '../../../../model/networks.ts';
import type { ClusterSight, EntrySight, GatewaySight, MeshSight, PairSight } from '../evidence.ts';
import { into, nobody, type PairName, type Suspicion, touching } from '../finding.ts';
import { GATEWAY, TLS_PORT } from '../observe-cluster.ts';
import type { TcpOutcome } from '../probe/wire.ts';
import { PILOT_PORT } from '../probe-pairs.ts';
import { clusterNamed, failedPairs } from '../verdict.ts';

const SERVICE = `Service istio-system/${GATEWAY}`;

export function checkGateways(mesh: MeshSight): Suspicion[] {
  return mesh.clusters
    .filter(({ unreachable, role }) => unreachable === undefined && role !== 'none')
    .flatMap((cluster) => {
      const fault = faultOf(cluster, mesh);
      if (fault === undefined) return [];
      const about = {
        severity: 'error',
        cluster: cluster.name,
        object: SERVICE,
        explains: entering(cluster, mesh),
      } as const;
      return [{ ...about, ...fault } satisfies Suspicion];
    });
}

/** Who comes in, and whoever is ruled from there: their proxies reach the control plane by the same gateway. */
function entering({ name }: ClusterSight, { clusters }: MeshSight): (pair: PairName) => boolean {
  const ruled = clusters.filter(({ plane, role }) => plane === name && role === 'remote').map((each) => each.name);
  return (pair) => into(name)(pair) || touching(...ruled)(pair);
}

type Fault = Pick<Suspicion, 'cause' | 'message' | 'evidence' | 'cure'> & { readonly object?: string };

function faultOf(cluster: ClusterSight, mesh: MeshSight): Fault | undefined {
  const { name, gateway, parts } = cluster;
  const kubectl = `kubectl --context ${name} -n istio-system`;
  const part = parts.find((each) => each.name === GATEWAY);
  const reinstall = `isthmus mesh up, or isthmus install --context ${name}, puts it back`;
  if (gateway === undefined) {
    const message = `${name} has no ingress gateway: nobody from outside comes in`;
    return { cause: 'gateway-missing', message, evidence: [`there is no ${SERVICE}`], cure: reinstall };
  }
  const ports = gateway.ports.map(({ number }) => number);
  if (!ports.includes(TLS_PORT)) {
    const message = `the ingress gateway of ${name} has no port ${TLS_PORT}, by which other clusters come in`;
    return { cause: 'gateway-port-missing', message, evidence: [`its ports: ${ports.join(', ')}`], cure: reinstall };
  }
  if (part === undefined || part.ready === 0) {
    const state =
      part === undefined ? `there is no Deployment ${GATEWAY}` : part.wanted === 0 ? 'it is scaled to 0' : part.state;
    const cure =
      part?.wanted === 0
        ? `${kubectl} scale deployment ${GATEWAY} --replicas=1`
        : part === undefined
          ? reinstall
          : `${kubectl} describe pods -l app=${GATEWAY}, and their logs, say why`;
    const message = `no pod of the ingress gateway of ${name} is ready`;
    return {
      cause: 'gateway-not-ready',
      object: `Deployment istio-system/${GATEWAY}`,
      message,
      evidence: [state],
      cure,
    };
  }
  if (gateway.endpoints === 0) {
    const message = `nobody is behind ${SERVICE} of ${name}, though pods of the gateway are ready`;
    const cure = `its selector has to match their labels, and its port ${TLS_PORT} their port ${TLS_PORT}: ${kubectl} get endpointslices,pods --show-labels`;
    return { cause: 'gateway-no-endpoints', message, evidence: [`no ready endpoint for its port ${TLS_PORT}`], cure };
  }
  if (isWithoutAddress(gateway) && failedPairs(mesh).some(({ to }) => to === name)) {
    const message = `the ingress gateway of ${name} has no address that other clusters can dial`;
    const evidence = [`type ${gateway.type}, no address in status.loadBalancer or spec.externalIPs`];
    const cure = `${kubectl} describe service ${GATEWAY} says why it gets none; without load balancers, type NodePort and the address of a node do`;
    return { cause: 'gateway-no-address', message, evidence, cure };
  }
  return undefined;
}

/** A load balancer that is still to come has node ports meanwhile, which may do or not: only failures tell. */
function isWithoutAddress({ type, addresses, door }: GatewaySight): boolean {
  return door === undefined || (type === 'LoadBalancer' && addresses.length === 0);
}

/** Where clusters share a control plane, its settings say by which gateway a cluster is entered. */
export function checkNetworks(mesh: MeshSight): Suspicion[] {
  const failed = failedPairs(mesh).filter(({ model, door }) => model === 'served' && door !== undefined);
  return mesh.clusters.flatMap((cluster): Suspicion[] => {
    const plane = clusterNamed(mesh, cluster.plane ?? '');
    if (plane?.networks === undefined || !failed.some(({ to }) => to === cluster.name)) return [];
    const about = {
      severity: 'error',
      cluster: plane.name,
      object: 'ConfigMap istio-system/istio',
      explains: ({ from, to }: PairName) => to === cluster.name && clusterNamed(mesh, from)?.plane === plane.name,
    } as const;
    const network = networkOf(cluster, plane, plane.networks);
    const edit = `kubectl --context ${plane.name} -n istio-system edit configmap istio (data.meshNetworks), or isthmus mesh up`;
    if (network === undefined) return withoutNetwork(cluster, plane, failed, { ...about, edit });
    const own = cluster.gatewayNetwork;
    if (own !== undefined && own !== network) {
      return [
        {
          ...about,
          cause: 'network-missing',
          explains: into(cluster.name),
          cluster: cluster.name,
          object: `Deployment istio-system/${GATEWAY}`,
          message: `the gateway of ${cluster.name} takes itself for one of network ${own}, and its pods are on ${network}: it leads to none of them`,
          evidence: [`ISTIO_META_NETWORK of the gateway is ${own}`],
          cure: `isthmus mesh up, or isthmus install --context ${cluster.name} with global.network and the gateway’s ISTIO_META_NETWORK alike`,
        },
      ];
    }
    const { gateways } = plane.networks[network] ?? { gateways: [] };
    const wrong = gateways.filter((gateway) => gateway.kind === 'address' && !leadsInto(gateway, cluster));
    if (gateways.length > 0 && wrong.length < gateways.length) return [];
    const named = wrong.flatMap((gateway) =>
      gateway.kind === 'address' ? [`${gateway.address}:${gateway.port}`] : [],
    );
    const door = cluster.gateway?.door;
    const isLater = wrong.every((gateway) => gateway.kind === 'address' && isPlaceholder(gateway.address));
    return [
      {
        ...about,
        cause: 'wrong-gateway-address',
        message:
          gateways.length === 0
            ? `network ${network} of ${cluster.name} has no gateway, so nobody outside of it is led to its pods`
            : isLater
              ? `the gateway of network ${network} is still ${named.join(', ')}: it leads nowhere`
              : `the gateway of network ${network}, ${named.join(', ')}, is none of ${cluster.name}’s`,
        evidence: [
          door === undefined
            ? `${cluster.name} has no gateway address`
            : `${cluster.name}’s gateway is ${door.address}:${door.port}`,
        ],
        cure: `write its address and port there: ${edit}`,
      },
    ];
  });
}

/** Nobody is led to its gateway, and its pods cannot be reached from elsewhere. */
function withoutNetwork(
  cluster: ClusterSight,
  plane: ClusterSight,
  failed: readonly PairSight[],
  { edit, ...shared }: Pick<Suspicion, 'severity' | 'cluster' | 'object'> & { readonly edit: string },
): Suspicion[] {
  if (!failed.some(({ to, door }) => to === cluster.name && door !== undefined && door.tcp !== 'open')) return [];
  const label = cluster.probe.network;
  return [
    {
      ...shared,
      cause: 'network-missing',
      // Its gateway does not know its own pods either.
      explains: into(cluster.name),
      message: `no network is named for ${cluster.name}, so its pods are dialled as if they could be reached, and they cannot`,
      evidence: [
        label === undefined
          ? `its pods have no label topology.istio.io/network`
          : `its pods are labelled topology.istio.io/network=${label}, of which meshNetworks knows nothing`,
        `meshNetworks of ${plane.name} has no fromRegistry: ${cluster.meshName ?? cluster.name}`,
        ...failed
          .filter(({ to }) => to === cluster.name)
          .flatMap(({ from, door }) =>
            door ? [`from ${from}: ${door.door.address}:${door.door.port} ${outcome(door.tcp)}`] : [],
          ),
      ],
      cure: `give ${cluster.name} a network with its gateway: ${edit}`,
    },
  ];
}

/** How proxies of a cluster without a control plane of its own reach the one that rules them. */
export function checkPilots(mesh: MeshSight): Suspicion[] {
  return mesh.clusters.flatMap((cluster): Suspicion[] => {
    const plane = clusterNamed(mesh, cluster.plane ?? '');
    if (cluster.role !== 'remote' || plane?.gateway === undefined) return [];
    const fault = pilotFault(cluster, plane, plane.gateway);
    return fault === undefined ? [] : [{ severity: 'error', explains: touching(cluster.name), ...fault }];
  });
}

function pilotFault(
  { name, pilotAt, probe: { pilot } }: ClusterSight,
  plane: ClusterSight,
  gateway: GatewaySight,
): Omit<Suspicion, 'severity' | 'explains'> | undefined {
  const { addresses } = gateway;
  if (pilotAt.length > 0 && addresses.length > 0 && !pilotAt.some((address) => addresses.includes(address))) {
    return {
      cause: 'wrong-gateway-address',
      cluster: name,
      object: 'Service istio-system/istio-pilot',
      message: `proxies of ${name} look for their control plane at ${pilotAt.join(', ')}, which is not the gateway of ${plane.name}`,
      evidence: [`${plane.name}’s gateway is ${addresses.join(', ')}`],
      cure: `isthmus mesh up, or isthmus install --context ${name} --set global.remotePilotAddress=${addresses[0]}`,
    };
  }
  const about = { cluster: plane.name, object: SERVICE };
  const ports = gateway.ports.map(({ number }) => number);
  if (!ports.includes(PILOT_PORT)) {
    return {
      ...about,
      cause: 'gateway-port-missing',
      message: `the ingress gateway of ${plane.name} has no port ${PILOT_PORT}, by which proxies of ${name} reach their control plane`,
      evidence: [`its ports: ${ports.join(', ')}`],
      cure: `isthmus mesh up, or isthmus install --context ${plane.name} --set global.meshExpansion.enabled=true`,
    };
  }
  if (pilot === undefined || pilot.tcp === 'open') return undefined;
  const { address, port } = pilot.door;
  return {
    ...about,
    cause: pilot.otherPorts.some(({ tcp }) => tcp !== 'silent') ? 'port-blocked' : 'gateway-unreachable',
    message: `proxies of ${name} do not reach their control plane: ${address}:${port} ${outcome(pilot.tcp)}`,
    evidence: pilot.otherPorts.map((other) => `from ${name}: ${address}:${other.port} ${outcome(other.tcp)}`),
    cure: `let ${name} through to ${address}:${port}: firewalls, security groups, the load balancer’s listeners`,
  };
}

interface Door {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly (number | undefined)[];
}

/** What people wrote breaks no probe, and calls of its own name all the same. */
export function checkWrittenAddresses({ clusters }: MeshSight): Suspicion[] {
  const doors = clusters.flatMap(({ name, gateway }): Door[] => {
    if (gateway === undefined) return [];
    const { addresses, ports, door } = gateway;
    const tls = ports.find(({ number }) => number === TLS_PORT);
    const all = [...new Set([...addresses, ...(door === undefined ? [] : [door.address])])];
    return [{ name, addresses: all, ports: tls === undefined ? [] : [tls.number, tls.nodePort] }];
  });
  // A cluster that was not looked at may be behind any address.
  const isWhole = clusters.every(({ unreachable, gateway }) => unreachable === undefined && gateway !== undefined);
  return clusters.flatMap(({ name, entries }) =>
    entries.flatMap((entry) => strayEndpoints(entry, doors, isWhole).map((fault) => ({ ...fault, cluster: name }))),
  );
}

function strayEndpoints({ object, host, endpoints }: EntrySight, doors: readonly Door[], isWhole: boolean) {
  return endpoints.flatMap(({ address, port }): Omit<Suspicion, 'cluster'>[] => {
    const at = doors.find(({ addresses }) => addresses.includes(address));
    if (at?.ports.includes(port) || (at === undefined && !isWhole)) return [];
    return [
      {
        cause: 'wrong-gateway-address',
        severity: at === undefined ? 'warning' : 'error',
        object,
        message:
          at === undefined
            ? `${host} leads to ${address}:${port}, which is no gateway of these clusters`
            : `${host} leads to port ${port} of the gateway of ${at.name}, which takes other clusters in at ${TLS_PORT}`,
        evidence: doors.map((door) => `the gateway of ${door.name} is ${door.addresses.join(', ')}`),
        cure: 'write the address and port of the gateway of the cluster that has the service',
        explains: nobody,
      },
    ];
  });
}

function networkOf(cluster: ClusterSight, plane: ClusterSight, networks: MeshNetworks): string | undefined {
  const label = cluster.probe.network;
  if (label !== undefined && Object.hasOwn(networks, label)) return label;
  const own = plane.meshName ?? plane.name;
  const wanted = cluster.meshName ?? cluster.name;
  return Object.entries(networks).find(([, { endpoints }]) =>
    endpoints.some((entry) => entry.kind === 'registry' && clusterOf(entry.name, own) === wanted),
  )?.[0];
}

function leadsInto(
  gateway: { readonly address: string; readonly port: number },
  { gateway: own }: ClusterSight,
): boolean {
  if (own === undefined) return true;
  const isNode = own.door?.address === gateway.address && own.ports.some(({ nodePort }) => nodePort === gateway.port);
  const isBalancer = own.addresses.includes(gateway.address) && own.ports.some(({ number }) => number === gateway.port);
  return isNode || isBalancer;
}

export function outcome(tcp: TcpOutcome): string {
  if (typeof tcp === 'object') return `cannot be dialled (${tcp.error})`;
  return {
    open: 'takes connections',
    refused: 'refuses connections',
    reset: 'takes connections and throws them away',
    silent: 'does not answer (packets vanish)',
  }[tcp];
}
