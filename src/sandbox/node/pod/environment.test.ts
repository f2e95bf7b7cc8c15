// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { Container, Pod, Service } from '../pod-types.ts';
import { buildEnvironment, ContainerConfigError, type EnvironmentSources, expandReferences } from './environment.ts';
import { readField, readResourceField } from './fields.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { 'b/c': 'x', a: 'q"uote' } },
  spec: { containers: [], nodeName: 'n' },
};
const place = { podIp: '10.1.0.5', hostIp: '10.1.0.1' };

function sources(services: Service[] = []): EnvironmentSources {
  return { pod, place, services, configMap: async () => undefined, secret: async () => undefined };
}

const container = (more: Partial<Container>): Container => ({ name: 'c', image: 'i', ...more });

describe('expandReferences', () => {
  it.each([
    ['$(A)', 'a'],
    ['$(A)$(A)-$(B)', 'aa-b'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$(MISSING)', '$(MISSING)'],
    ['$(A', '$(A'],
    ['$A $ {A} $', '$A $ {A} $'],
    ['$(constructor)', '$(constructor)'],
  ])('%s -> %s', (text, expected) => {
    expect(expandReferences(text, { A: 'a', B: 'b' })).toBe(expected);
  });
});

describe('buildEnvironment', () => {
  it('lets later definitions see and replace earlier ones', async () => {
    const env = [
      { name: 'A', value: '1' },
      { name: 'B', value: '$(A)$(IMAGE)' },
      { name: 'A', value: '$(B)2' },
    ];
    const built = await buildEnvironment(container({ env }), { IMAGE: 'i' }, 'host', '/home', sources());
    expect(built).toMatchObject({ A: '1i2', B: '1i', IMAGE: 'i', HOSTNAME: 'host', HOME: '/home' });
  });

  it('names services as Kubernetes does', async () => {
    const service: Service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'my-db', namespace: 'ns' },
      spec: {
        clusterIP: '10.96.1.1',
        ports: [
          { name: 'main-port', port: 5432 },
          { name: 'udp', port: 53, protocol: 'UDP' },
        ],
      },
    };
    const headless = { ...service, metadata: { name: 'none', namespace: 'ns' }, spec: { clusterIP: 'None' } };
    const built = await buildEnvironment(container({}), {}, 'h', '/', sources([service, headless]));
    expect(built).toMatchObject({
      MY_DB_SERVICE_HOST: '10.96.1.1',
      MY_DB_SERVICE_PORT: '5432',
      MY_DB_SERVICE_PORT_MAIN_PORT: '5432',
      MY_DB_PORT: 'tcp://10.96.1.1:5432',
      MY_DB_PORT_5432_TCP: 'tcp://10.96.1.1:5432',
      MY_DB_PORT_53_UDP_PROTO: 'udp',
    });
    expect(Object.keys(built).some((name) => name.startsWith('NONE_'))).toBe(false);
  });

  it('names what is missing', async () => {
    const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }];
    await expect(buildEnvironment(container({ env }), {}, 'h', '/', sources())).rejects.toThrow(
      new ContainerConfigError('secret "s" not found'),
    );
    const present = { ...sources(), secret: async () => ({ apiVersion: 'v1', kind: 'Secret', metadata: {} }) };
    await expect(buildEnvironment(container({ env }), {}, 'h', '/', present)).rejects.toThrow(
      "couldn't find key k in Secret ns/s",
    );
    const field = [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.nothing' } } }];
    await expect(buildEnvironment(container({ env: field }), {}, 'h', '/', sources())).rejects.toThrow(
      ContainerConfigError,
    );
  });
});

describe('the downward API', () => {
  it('reads fields of the pod', () => {
    expect(readField(pod, "metadata.labels['b/c']", place)).toBe('x');
    expect(readField(pod, "metadata.annotations['none']", place)).toBe('');
    expect(readField(pod, 'status.podIP', place)).toBe('10.1.0.5');
    expect(readField(pod, 'metadata.labels', place, true)).toBe('a="q\\"uote"\nb/c="x"');
    expect(() => readField(pod, 'metadata.labels', place)).toThrow('unsupported fieldPath');
  });

  it('reads resources, rounded up', () => {
    const limited = container({ resources: { limits: { cpu: '250m', memory: '1Gi' } } });
    expect(readResourceField(limited, { resource: 'limits.cpu' })).toBe('1');
    expect(readResourceField(limited, { resource: 'limits.cpu', divisor: '1m' })).toBe('250');
    expect(readResourceField(limited, { resource: 'limits.memory', divisor: '1Mi' })).toBe('1024');
    expect(readResourceField(limited, { resource: 'requests.memory' })).toBe('0');
    expect(Number(readResourceField(container({}), { resource: 'limits.memory' }))).toBeGreaterThan(0);
  });

  it.each([
    ['100m', 0.1],
    ['2', 2],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['1e3', 1000],
    [3, 3],
  ])('parses the quantity %s', (text, expected) => {
    expect(parseQuantity(text)).toBeCloseTo(expected, 9);
  });
});
