// SPDX-License-Identifier: Apache-2.0
// What documents about Istio have one type to install: on one cluster, by kubectl alone, again, and away again. (Whole
// documents are seed-001.test.ts and its like.)
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl');
const CHART = 'install/kubernetes/helm/istio';
const GATEWAYS = 'values-istio-multicluster-gateways.yaml';

describe.skipIf(obstacle !== undefined)(`install lines${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('lines');
  const must = async (script: string): Promise<string> => {
    const result = await sandbox.bash(script);
    expect(result, `${script}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    return result.stdout;
  };
  /** Everything in the cluster that says it is ours. */
  const ours = async (): Promise<string[]> => {
    const kinds = [
      ...['deploy,rs,pod,svc,ep,endpointslice,cm,secret,sa,role,rolebinding,lease'],
      ...['clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,crd,namespace'],
    ].join();
    const names = await sandbox.kubectl('get', kinds, '-A', '--ignore-not-found', '-o', 'name');
    return names.split('\n').filter((name) => /isti|isthmus/.test(name) && !name.includes('/system:'));
  };

  beforeAll(async () => {
    await sandbox.up('--clusters', '1');
    await must(`ln -s "$PWD/isthmus" ${sandbox.dir}/istioctl; export PATH=${sandbox.dir}:$PATH`);
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('what is generated goes in with one kubectl apply, and says until there is a CA that it waits for one', async () => {
    const notices = await sandbox.bash(
      `./isthmus manifest generate ${CHART} --name istio --namespace istio-system -f ${CHART}/${GATEWAYS} \
         --set mixer.policy.enabled=true > ${sandbox.dir}/istio.yaml`,
    );
    expect(notices).toMatchObject({ code: 0, stderr: expect.stringMatching(/mixer\.policy\.enabled: .*no Mixer/) });
    await must(`kubectl create namespace istio-system
      for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl apply -f $i || exit 1; done`);
    const applied = await must(`kubectl apply -f ${sandbox.dir}/istio.yaml`);
    expect(applied).not.toMatch(/namespace|customresourcedefinition/);
    await expect
      .poll(async () => (await sandbox.bash('kubectl -n istio-system logs deploy/istiod')).stdout, { timeout: 30_000 })
      .toContain('waiting for Secret cacerts');
    expect(await must('kubectl -n istio-system get secret -o name')).not.toContain('istio-ca-secret');
  });

  test('with it, everything becomes ready: one container each, under the labels and names that documents select', async () => {
    const certs = `${sandbox.dir}/certs`;
    await must(`./isthmus certs --out ${certs} && kubectl -n istio-system create secret generic cacerts \
      --from-file=${certs}/ca-cert.pem --from-file=${certs}/ca-key.pem \
      --from-file=${certs}/root-cert.pem --from-file=${certs}/cert-chain.pem`);
    await must('kubectl -n istio-system wait --for=condition=Available deployment --all --timeout=120s');
    for (const selector of ['istio=ingressgateway', 'app=istio-ingressgateway', 'app=istio-egressgateway']) {
      expect(await must(`kubectl -n istio-system get pods -l ${selector} --no-headers`)).toMatch(/^\S+ +1\/1 +Running/);
    }
    expect(await must('kubectl -n istio-system logs -l app=istiocoredns -c istio-coredns-plugin')).not.toBe('');
    expect(await must('kubectl -n istio-system logs deploy/istiod')).not.toContain('publicly known');
  });

  test('applied again it changes nothing, and the API server still trusts the webhooks', async () => {
    const again = (await must(`kubectl apply -f ${sandbox.dir}/istio.yaml`)).trim().split('\n');
    expect(again.filter((line) => !line.endsWith(' unchanged'))).toEqual([]);
    const read = async (member: string) => {
      const path = `{.items[*].webhooks[*].${member}}`;
      const kinds = 'mutatingwebhookconfiguration,validatingwebhookconfiguration';
      return (await must(`kubectl get ${kinds} -o jsonpath='${path}'`)).trim().split(' ');
    };
    expect(await read('clientConfig.caBundle')).toHaveLength((await read('name')).length);
  });

  test('istioctl manifest apply of the same values finds all of it there', async () => {
    const file = `install/kubernetes/operator/examples/multicluster/${GATEWAYS}`;
    const report = JSON.parse(
      await must(`istioctl manifest apply -f ${file} --set global.multiCluster.clusterName=Kubernetes -o json`),
    ) as { changes: { object: string; change: string }[]; warnings: string[] };
    expect(report.changes.filter(({ change }) => change !== 'unchanged')).toEqual([]);
    expect(report.changes.length).toBeGreaterThan(20);
    expect(report.warnings).toEqual([]);
  });

  test('kubectl delete of the same file takes away all that it brought, and the loops of the documents the rest', async () => {
    await must(`kubectl delete -f ${sandbox.dir}/istio.yaml`);
    await must(`kubectl delete ns istio-system
      for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl delete -f $i || exit 1; done`);
    expect(await ours()).toEqual([]);
  });

  test('what documents write around the path of a file is told, and so is a value that is misspelt', async () => {
    const marked = await sandbox.bash(`./isthmus manifest generate ${CHART} --values @${CHART}/${GATEWAYS}@`);
    expect(marked).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(`write ${CHART}/${GATEWAYS}`),
    });
    const misspelt = await sandbox.bash(`./isthmus manifest generate ${CHART} --set global.meshExpanson.enabled=true`);
    expect(misspelt).toMatchObject({ code: 2, stdout: '' });
    expect(misspelt.stderr).toContain('did you mean global.meshExpansion?');
  });
});
