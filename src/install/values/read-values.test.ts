// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { isTree, type RawTree } from './helm-set.ts';
import { meshSettings } from './mesh-settings.ts';
import { readValues } from './read-values.ts';
import { DEFAULTS, type Values } from './values.ts';
import { ValuesError } from './values-error.ts';
import type { ValuesFile } from './values-file.ts';

const CHARTS = fileURLToPath(new URL('../../../install/kubernetes', import.meta.url));
const chart = shipped('helm/istio/values.yaml');

function shipped(path: string): ValuesFile {
  return { name: path, text: readFileSync(join(CHARTS, path), 'utf8') };
}

function setValues(sets: readonly string[], clusterName = 'c'): Values {
  return readValues({ sets: sets.map((text) => ({ text })), clusterName }).values;
}

function fileValues(...texts: string[]): Values {
  return readValues({ files: texts.map((text, i) => ({ name: `f${i}.yaml`, text })), clusterName: 'c' }).values;
}

describe('single values', () => {
  test('are set by their path, in the type that they have', () => {
    const values = setValues([
      'global.tag=2,global.proxy.concurrency=2',
      'gateways.istio-ingressgateway.enabled=false',
      'pilot.resources.requests.cpu=1',
    ]);
    expect(values.global.tag).toBe('2');
    expect(values.global.proxy.concurrency).toBe(2);
    expect(values.gateways['istio-ingressgateway'].enabled).toBe(false);
    expect(values.pilot.resources.requests).toEqual({ cpu: '1', memory: '128Mi' });
  });

  test('the cluster is named after its context unless it is set; a remote one need have no name', () => {
    expect(setValues([], 'cluster1').global.multiCluster.clusterName).toBe('cluster1');
    expect(setValues(['global.multiCluster.clusterName=eu'], 'cluster1').global.multiCluster.clusterName).toBe('eu');
    expect(
      setValues(['global.istioRemote=true,istiocoredns.enabled=false'], 'Kubernetes').global.multiCluster.clusterName,
    ).toBe('');
  });

  test('mesh networks are as free as Istio has them', () => {
    const values = setValues([
      'global.meshNetworks.network2.endpoints[0].fromRegistry=n2-k8s-config',
      'global.meshNetworks.network2.gateways[0].address=0.0.0.0',
      'global.meshNetworks.network2.gateways[0].port=443',
    ]);
    expect(values.global.meshNetworks).toEqual({
      network2: { endpoints: [{ fromRegistry: 'n2-k8s-config' }], gateways: [{ address: '0.0.0.0', port: 443 }] },
    });
  });

  test('variables and annotations are texts, and null takes one away', () => {
    const { env } = setValues([
      'gateways.istio-egressgateway.env.ISTIO_META_NETWORK=7',
      'gateways.istio-egressgateway.env.ISTIO_META_REQUESTED_NETWORK_VIEW=null',
    ]).gateways['istio-egressgateway'];
    expect(env).toEqual({ ISTIO_META_NETWORK: '7' });
  });

  test('one reading leaves nothing behind for the next', () => {
    setValues(['global.tag=changed', 'global.meshNetworks.n.endpoints[0].fromRegistry=x']);
    expect(setValues([]).global.tag).not.toBe('changed');
    expect(setValues([]).global.meshNetworks).toEqual({});
  });

  test.each([
    ['global.tga=1', 'there is no value global.tga; did you mean global.tag?'],
    ['global.prxy.logLevel=x', 'did you mean global.proxy?'],
    ['mxer.policy.enabled=true', 'did you mean mixer?'],
    ['clusterName=a', 'did you mean global.multiCluster.clusterName?'],
    ['nothing=1', 'known here: global'],
    ['global.tag', 'NAME=VALUE'],
    ['global.proxy=1', 'is a group'],
    ['global.tag.major=1', 'has no members'],
    ['global.proxy.concurrency=two', 'whole number'],
    ['istiocoredns.enabled=yes', 'true or false'],
    ['global.podDNSSearchNamespaces=global', 'list of texts'],
    ['global.proxy.excludeOutboundBy=gid', 'auto, uid, mark'],
    ['global.outboundTrafficPolicy.mode=ANY', 'ALLOW_ANY, REGISTRY_ONLY'],
    ['gateways.istio-egressgateway.env=x', 'is a group'],
    ['gateways.istio-egressgateway.env.A.B=x', 'has no members'],
    ['gateways.istio-egressgateway.env.A B=x', 'is no name of a variable'],
    ['gateways.istio-egressgateway.env.POD_NAME=x', 'is what the installation sets'],
    ['gateways.istio-egressgateway.env.ISTIO_META_CLUSTER_ID=x', 'token proves it'],
    ['gateways.istio-egressgateway.env.ISTIO_META_NETWORK=a"b', 'no quotes, backslashes or line ends'],
    ['security.workloadCertTtl=5s', 'from 10s to 8760h'],
    ['global.hub=', 'where images come from'],
    ['global.tag=a b', 'the tag of an image'],
    ['pilot.logLevel=loud', 'error, warn, info, debug'],
    ['istiocoredns.zone=a b', 'a DNS name'],
    ['gateways.istio-ingressgateway.loadBalancerIP=999.1.1.1', 'an IP address'],
    ['gateways.istio-ingressgateway.ipFamilyPolicy=DualStack', 'PreferDualStack'],
    ['global.meshNetworks.n1.endpoints=x', 'global.meshNetworks.n1.endpoints: '],
    ['global.meshNetworks.n1.gateways[0].address=1.2.3.4', 'global.meshNetworks.n1.gateways[0].port: '],
    ['global.istioRemote=true,global.remotePilotAddress=127.0.0.1', 'leads nowhere'],
    ['global.__proto__.polluted=1', 'cannot be a name'],
    ['global.multiCluster.clusterName=a~b', 'cannot be a cluster'],
  ])('%s is refused: %s', (assignment, reason) => {
    expect(() => setValues([assignment])).toThrow(ValuesError);
    expect(() => setValues([assignment])).toThrow(reason);
  });
});

describe('layers', () => {
  test('lie over one another as Helm has it: chart, files in their order, flags in theirs, texts last', () => {
    const { values } = readValues({
      chart: { name: 'chart', text: 'global: {hub: a, tag: a, network: a, trustDomain: a}' },
      files: [
        { name: 'one', text: 'global: {tag: b, network: b, trustDomain: b}' },
        { name: 'two', text: 'global: {network: c, trustDomain: c}' },
      ],
      sets: [{ text: 'global.trustDomain=d' }, { text: 'global.trustDomain=e' }],
      clusterName: 'c',
    });
    expect(values.global).toMatchObject({ hub: 'a', tag: 'b', network: 'c', trustDomain: 'e' });
  });

  test('merge groups, and replace lists', () => {
    const values = fileValues(
      'global: {meshNetworks: {n1: {gateways: [{address: 1.1.1.1, port: 1}]}, n2: {endpoints: []}}}',
      'global: {meshNetworks: {n1: {gateways: [{address: 2.2.2.2, port: 2}]}}}',
    );
    expect(values.global.meshNetworks).toEqual({
      n1: { gateways: [{ address: '2.2.2.2', port: 2 }] },
      n2: { endpoints: [] },
    });
  });

  test('null takes back what a file said: the default counts again', () => {
    const { values } = readValues({
      files: [{ name: 'f', text: 'global: {hub: other, meshNetworks: {n: {endpoints: []}}}' }],
      sets: [{ text: 'global.hub=null,global.meshNetworks.n=null' }],
      clusterName: 'c',
    });
    expect(values.global.hub).toBe(DEFAULTS.global.hub);
    expect(values.global.meshNetworks).toEqual({});
  });

  test('an empty trust domain is the default, as Istio’s own values.yaml has it', () => {
    const below = fileValues('global: {trustDomain: "", proxy: {logLevel: ""}}').global;
    expect([below.trustDomain, below.proxy.logLevel]).toEqual(['cluster.local', 'warning']);
  });

  test('an empty file says nothing; a wrong one is told by its line', () => {
    expect(fileValues('', '# nothing\n', '---\n')).toEqual(setValues([]));
    expect(() => fileValues('global:\n  proxy:\n    logLevl: x\n')).toThrow(
      'f0.yaml:3: there is no value global.proxy.logLevl; did you mean global.proxy.logLevel?',
    );
    expect(() => fileValues('global:\n  tag: [\n')).toThrow(/^f0\.yaml:\d: /);
    expect(() => fileValues('- a\n')).toThrow('begins with names');
    expect(() => fileValues('global: {}\n---\nglobal: {}\n')).toThrow('one document');
    expect(() => fileValues('global: {meshNetworks: [a]}')).toThrow('f0.yaml:1: global.meshNetworks is a group');
  });

  test('all that is wrong is told at once', () => {
    const read = () => readValues({ sets: [{ text: 'a.b=1' }, { text: 'global.tag.x=1' }], clusterName: 'c' });
    expect(read).toThrow(/--set a\.b=1: .*\n--set global\.tag\.x=1: /s);
  });
});

describe('values of parts that this mesh has not', () => {
  const noticesOf = (...sets: string[]) =>
    readValues({ sets: sets.map((text) => ({ text })), clusterName: 'c' }).notices;

  test('are accepted and named, those of one part together', () => {
    expect(
      noticesOf('global.remotePolicyAddress=1.2.3.4', 'galley.replicaCount=2', 'global.remoteTelemetryAddress=1.2.3.4'),
    ).toEqual([
      'global.remotePolicyAddress, global.remoteTelemetryAddress: without effect, for this mesh has no Mixer',
      'galley.replicaCount: without effect, for this mesh has no Galley',
    ]);
  });

  test('need no notice where they say what is so', () => {
    expect(
      noticesOf(
        ...['global.mtls.enabled=true', 'global.controlPlaneSecurityEnabled=true', 'galley.enabled=false'],
        ...['mixer.enabled=false', 'sidecarInjectorWebhook.enabled=true', 'security.enabled=true'],
      ),
    ).toEqual([]);
  });

  test('need one where they ask for the contrary', () => {
    expect(noticesOf('global.mtls.enabled=false')).toEqual([
      'global.mtls.enabled: without effect, for it is always true in this mesh',
    ]);
  });

  test('do not hide a mistake beside them', () => {
    expect(() => setValues(['global.mtls.enabld=true'])).toThrow('did you mean global.mtls.enabled?');
    expect(() => setValues(['gateways.istio-ingressgateway.enable=true'])).toThrow(
      'did you mean gateways.istio-ingressgateway.enabled?',
    );
  });
});

describe('IstioControlPlane and IstioOperator', () => {
  const head = 'apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n';

  test('say of gateways, DNS and the mesh what values say', () => {
    const values = fileValues(
      `${head}  hub: h\n  meshConfig: {accessLogFile: /x, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n` +
        '  components: {egressGateways: [{name: istio-egressgateway, enabled: false}]}\n' +
        '  addonComponents: {istiocoredns: {enabled: false}}\n  values: {global: {tag: t}}\n',
    );
    expect(values.global).toMatchObject({ hub: 'h', tag: 't', outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } });
    expect(values.global.proxy.accessLogFile).toBe('/x');
    expect(values.gateways['istio-egressgateway'].enabled).toBe(false);
    expect(values.istiocoredns.enabled).toBe(false);
  });

  test.each([
    ['  valeus: {}\n', 'f0.yaml:4: there is no spec.valeus; did you mean spec.values?'],
    ['  profile: ambient\n', 'f0.yaml:4: there is no profile "ambient"; known here: default, demo'],
    ['  namespace: mesh\n', 'f0.yaml:4: the mesh is installed in istio-system'],
    ['  values:\n    global:\n      tga: x\n', 'f0.yaml:6: there is no value global.tga'],
    ['  meshConfig:\n    outboundTrafficPolicy:\n      mode: ANY\n', 'f0.yaml:6: global.outboundTrafficPolicy.mode'],
    ['  components:\n    ingressGateways: [{name: second}]\n', 'and not second'],
  ])('%s', (spec, message) => {
    expect(() => fileValues(head + spec)).toThrow(message);
  });

  test('name what has no effect', () => {
    const file = { name: 'f', text: `${head}  telemetry: {enabled: true}\n  policy: {enabled: false}\n` };
    expect(readValues({ files: [file], clusterName: 'c' }).notices).toEqual([
      'spec.telemetry.enabled: without effect, for this mesh has no such part',
    ]);
  });

  test('have a profile, and so has --set: it lies under all that is said besides', () => {
    expect(fileValues(`${head}  profile: minimal\n`).gateways.enabled).toBe(false);
    expect(setValues(['gateways.enabled=true', 'profile=minimal']).gateways.enabled).toBe(true);
    expect(setValues(['profile=remote'])).toMatchObject({
      global: { istioRemote: true },
      security: { selfSigned: false },
    });
    expect(readValues({ sets: [{ text: 'profile=demo' }], clusterName: 'c' })).toEqual({
      values: setValues([]),
      notices: ['profile demo: the same as default in this mesh'],
    });
    expect(() => setValues(['profile=ambient'])).toThrow('--set profile=ambient: there is no profile "ambient"');
  });

  test('istioctl’s --set has values of Helm below `values`', () => {
    expect(setValues(['values.global.tag=x']).global.tag).toBe('x');
  });
});

describe('settings of the mesh', () => {
  const head = 'apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  ';
  const yaml =
    'meshConfig: {accessLogFile: "", outboundTrafficPolicy: {mode: REGISTRY_ONLY}, defaultConfig: {tracing: {sampling: 7}}}';

  test.each([
    [
      '--set',
      () =>
        setValues([
          ...['meshConfig.accessLogFile=', 'meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY'],
          'meshConfig.defaultConfig.tracing.sampling=7',
        ]),
    ],
    ['a file of Helm', () => fileValues(`${yaml}\n`)],
    ['an IstioOperator', () => fileValues(`${head}${yaml}\n`)],
    ['values of an IstioOperator', () => fileValues(`${head}values:\n    ${yaml}\n`)],
  ])('by %s', (_, read) => {
    const values = read();
    expect(values.global.outboundTrafficPolicy.mode).toBe('REGISTRY_ONLY');
    expect(meshSettings(values)).toMatchObject({
      ...{ accessLogFile: '', trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
      ...{ outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' }, defaultConfig: { tracing: { sampling: 7 } } },
    });
  });

  test('the members of a list may come one by one', () => {
    const values = setValues([
      'meshConfig.extensionProviders[0].name=otel',
      'meshConfig.extensionProviders[0].opentelemetry.service=otel.observability.svc.cluster.local',
      'meshConfig.extensionProviders[0].opentelemetry.port=4317',
    ]);
    const otel = { name: 'otel', opentelemetry: { service: 'otel.observability.svc.cluster.local', port: 4317 } };
    expect(meshSettings(values)['extensionProviders']).toEqual([otel]);
  });

  test('what is wrong in them is told, and what has no effect', () => {
    expect(() => setValues(['meshConfig.connectTimeout=soon'])).toThrow('meshConfig.connectTimeout: ');
    expect(() => fileValues('meshConfig:\n  outboundTrafficPolicy:\n    mode: ANY\n')).toThrow('f0.yaml:3: ');
    const { notices } = readValues({ sets: [{ text: 'meshConfig.proxyHttpPort=8888' }], clusterName: 'c' });
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain('meshConfig.proxyHttpPort: ');
  });

  test('gateways go by the names of istioctl’s file form', () => {
    const list = 'components.egressGateways[0]';
    const name = 'istio-egressgateway';
    expect(setValues([`${list}.name=${name}`, `${list}.enabled=false`]).gateways[name].enabled).toBe(false);
    expect(() => setValues([`${list}.name=second`])).toThrow('--set components.egressGateways: ');
  });
});

describe('a remote cluster', () => {
  const remote = ['global.istioRemote=true', 'istiocoredns.enabled=false', 'global.createRemoteSvcEndpoints=true'];

  test.each([
    [[...remote], 'global.remotePilotAddress is empty'],
    [[...remote, 'global.remotePilotAddress='], 'global.remotePilotAddress is empty'],
    [[...remote, 'global.remotePilotAddress=no address'], 'neither an IP address nor a host name'],
    [['global.remotePilotCreateSvcEndpoint=true'], 'values-istio-remote.yaml'],
    [['global.istioRemote=true'], 'istiocoredns.enabled: it answers from ServiceEntries'],
  ])('%s', (sets, message) => {
    expect(() => setValues(sets)).toThrow(message);
  });

  test.each(['192.0.2.1', '2001:db8::1', 'gateway.example.com'])('takes %s', (address) => {
    expect(setValues([...remote, `global.remotePilotAddress=${address}`]).global.remotePilotAddress).toBe(address);
  });
});

describe('the files that ship', () => {
  const leaves = (tree: RawTree, group = ''): string[] =>
    Object.entries(tree).flatMap(([name, value]) =>
      isTree(value) && Object.keys(value).length > 0 ? leaves(value, `${group}${name}.`) : [`${group}${name}`],
    );

  test('the chart names every value that there is, and no other', () => {
    const named = leaves(parse(chart.text) as RawTree).sort();
    expect(named).toEqual(leaves(DEFAULTS as unknown as RawTree).sort());
  });

  test('the chart differs from `install` in what Istio’s chart leaves out', () => {
    const { values } = readValues({ chart, clusterName: 'c' });
    const installed = setValues([]);
    installed.istiocoredns.enabled = false;
    installed.gateways['istio-egressgateway'].enabled = false;
    installed.global.multiCluster.enabled = false;
    expect(values).toEqual(installed);
  });

  test.each([
    'helm/istio/values-istio-multicluster-gateways.yaml',
    'operator/examples/multicluster/values-istio-multicluster-gateways.yaml',
  ])('%s gives names of other clusters, an egress gateway and no CA of its own', (path) => {
    const { values, notices } = readValues({ chart, files: [shipped(path)], clusterName: 'c' });
    expect(notices).toEqual([]);
    expect(values.istiocoredns.enabled).toBe(true);
    expect(values.global.multiCluster.enabled).toBe(true);
    expect(values.security.selfSigned).toBe(false);
    expect(values.gateways['istio-egressgateway']).toMatchObject({
      enabled: true,
      env: { ISTIO_META_REQUESTED_NETWORK_VIEW: 'external' },
    });
  });

  test('values-istio-remote.yaml has no gateways unless they are asked for', () => {
    const files = [shipped('helm/istio/values-istio-remote.yaml')];
    const { values } = readValues({ chart, files, clusterName: 'c' });
    expect(values.global.istioRemote).toBe(true);
    expect(values.gateways.enabled).toBe(false);
  });
});
