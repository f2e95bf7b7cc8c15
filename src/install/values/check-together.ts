// SPDX-License-Identifier: Apache-2.0
// What no value alone can be wrong in.
import { isIP } from 'node:net';
import { decodeMeshNetworks, NETWORKS_FIELD } from '../../api/mesh-networks.ts';
import { ISTIO_NAMESPACE, type Values } from './values.ts';
import { ValuesError } from './values-error.ts';

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Addresses that an API server takes for no endpoint: unspecified, loopback, link-local and multicast. */
const NOWHERE = /^(0\.0\.0\.0|127\.|169\.254\.|22[4-9]\.|23\d\.|::1?$|fe[89ab].:|ff..:)/i;

/** @throws ValuesError naming the values and the cure */
export function checkTogether({ global, istiocoredns }: Values): void {
  checkClusterName(global.multiCluster.clusterName, global.istioRemote);
  checkRemote(global);
  if (global.istioRemote && istiocoredns.enabled) {
    throw new ValuesError(
      'istiocoredns.enabled: it answers from ServiceEntries, which a remote cluster (global.istioRemote) does not have; ' +
        'set it to false',
    );
  }
  checkNetworks(global.meshNetworks);
}

/** As the control plane will read them. @throws ValuesError for what it would leave out as a whole */
function checkNetworks(networks: Values['global']['meshNetworks']): void {
  const metadata = { name: 'istio', namespace: ISTIO_NAMESPACE };
  const data = { meshNetworks: JSON.stringify({ networks }) };
  const { diagnostics } = decodeMeshNetworks({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return;
  const lines = errors.map(({ field, message, cure }) => {
    const path = field.replace(`${NETWORKS_FIELD}.networks`, 'global.meshNetworks');
    return `${path}: ${message.replace(/^line \d+ of meshNetworks: /, '')}: ${cure}`;
  });
  throw new ValuesError(lines.join('\n'));
}

/** It becomes part of node ids and metadata, and of users' scripts. */
function checkClusterName(name: string, mayBeMissing: boolean): void {
  if ((name === '' && mayBeMissing) || /^[A-Za-z0-9]([A-Za-z0-9_.:@/-]{0,251}[A-Za-z0-9])?$/.test(name)) return;
  throw new ValuesError(
    `"${name}" cannot be a cluster's name in the mesh: give one of letters, digits and _.:@/- with ` +
      '--set global.multiCluster.clusterName=NAME',
  );
}

function checkRemote(global: Values['global']): void {
  const { istioRemote, remotePilotAddress: address, createRemoteSvcEndpoints, remotePilotCreateSvcEndpoint } = global;
  const makesService = createRemoteSvcEndpoints || remotePilotCreateSvcEndpoint;
  if (!istioRemote) {
    if (!makesService) return;
    throw new ValuesError(
      'global.createRemoteSvcEndpoints and global.remotePilotCreateSvcEndpoint are for a cluster without a control plane ' +
        'of its own: add --values install/kubernetes/helm/istio/values-istio-remote.yaml',
    );
  }
  if (makesService && address === '') {
    throw new ValuesError(
      'global.remotePilotAddress is empty: give the address of the ingress gateway of the cluster that runs the control ' +
        'plane (kubectl -n istio-system get service istio-ingressgateway shows it as EXTERNAL-IP)',
    );
  }
  if (NOWHERE.test(address)) {
    throw new ValuesError(
      `global.remotePilotAddress: ${address} leads nowhere from another cluster: give the address of the ingress gateway ` +
        'of the cluster that runs the control plane',
    );
  }
  if (address === '' || isIP(address) !== 0 || HOST_NAME.test(address)) return;
  throw new ValuesError(`global.remotePilotAddress: "${address}" is neither an IP address nor a host name`);
}
