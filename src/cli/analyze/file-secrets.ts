// SPDX-License-Identifier: Apache-2.0
// Secrets that stand in files: the CA's and those of remote clusters, judged before anybody applies them.
import { isRecord } from '../../api/shape.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import type { KubeObject } from '../../kube/types.ts';
import { GIVEN } from '../../runtime/cluster/ca-secret.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import { judgeAuthority } from './authority.ts';
import type { CollectedObject } from './collect.ts';
import type { Remark } from './judge.ts';
import { inspectRemoteSecrets } from './remote-secrets.ts';

/** @param own what the control plane calls the cluster that they are for, if that is known */
export function judgeFileSecrets(objects: readonly CollectedObject[], nowMs: number, own?: string): Remark[] {
  const secrets = objects.filter(
    ({ object: { kind, metadata } }) => kind === 'Secret' && metadata.namespace === ISTIO_NAMESPACE,
  );
  const remote = secrets.filter(({ object: { metadata } }) =>
    Object.entries(metadata.labels ?? {}).some(([name, value]) => `${name}=${value}` === REMOTE_SECRET_LABEL),
  );
  const authorities = secrets.filter(({ object }) => object.metadata.name === GIVEN);
  const remarks = [
    ...inspectRemoteSecrets(
      remote.map(({ object }) => encoded(object)),
      own,
    ).remarks,
    ...authorities.flatMap(({ object }) => judgeAuthority(encoded(object), nowMs).remarks),
  ];
  return remarks.map((remark) => {
    const { file, locate } = secrets.find(({ object }) => object.metadata.name === remark.object.name) ?? {};
    const line = locate?.('data');
    return { ...remark, ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) };
  });
}

/** As the API server stores it: what is given in plain text (`stringData`) is encoded. What it would refuse is left out. */
function encoded(secret: KubeObject): KubeObject {
  const texts = (member: unknown): [string, string][] =>
    isRecord(member)
      ? Object.entries(member).filter((each): each is [string, string] => typeof each[1] === 'string')
      : [];
  const added = texts(secret['stringData']).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return { ...secret, data: Object.fromEntries([...texts(secret['data']), ...added]) };
}
