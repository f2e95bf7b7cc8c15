// SPDX-License-Identifier: Apache-2.0
// Services whose ports the mesh cannot tell apart, or has to guess at.
import type { Diagnostic } from '../api/diagnostics.ts';
import { selects } from '../api/kubernetes.ts';
import { isRecord } from '../api/shape.ts';
import { NEVER_IN } from '../injector/inject.ts';
import { type Analyzed, say, type World } from './world.ts';

interface RawPort {
  readonly index: number;
  readonly name: string;
  readonly number: number;
  readonly transport: string;
  readonly targetPort: string;
  /** It is said what is spoken there. */
  readonly named: boolean;
}

export function checkServices(world: World): Diagnostic[] {
  return [
    ...world.services.flatMap(({ service, ...each }) => checkPortNames(each, service.externalName)),
    ...checkSharedPorts(world),
  ];
}

function checkPortNames(each: Analyzed, externalName: string | undefined): Diagnostic[] {
  if (NEVER_IN.has(each.object.metadata.namespace ?? '')) return [];
  return rawPorts(each).flatMap(({ index, name, number, targetPort, named, transport }) => {
    const field = `spec.ports[${index}].name`;
    if (externalName !== undefined && (name === 'tcp' || !named) && transport === 'TCP') {
      const message = `connections to port ${number} of ${externalName} are told by nothing but their port`;
      return [say(each, 'ISM0412', field, message, 'call it http-..., https-... or tls-... if that is what is spoken')];
    }
    if (named || transport !== 'TCP') return [];
    const message = `${name === '' ? 'a port without a name' : `"${name}"`} (port ${number}, targetPort ${targetPort}) does not say what is spoken: each connection is looked at to tell`;
    return [
      say(
        each,
        'ISM0411',
        field,
        message,
        'begin the name with http-, http2-, grpc-, tcp-, tls- or https-, or set appProtocol',
      ),
    ];
  });
}

const PREFIXES = /^(http|http1|http2|grpc|grpc-web|tcp|mongo|mysql|redis|tls|https|udp)(-|$)/i;
/** Servers that are known by their port. */
const KNOWN_PORTS = new Set([25, 53, 3306, 27017]);

function rawPorts({ object: { spec } }: Analyzed): RawPort[] {
  const ports = isRecord(spec) && Array.isArray(spec['ports']) ? spec['ports'].filter(isRecord) : [];
  return ports.map((port, index) => {
    const { name = '', port: number = 0, protocol = 'TCP', targetPort = number, appProtocol } = port;
    return {
      index,
      name: String(name),
      number: Number(number),
      transport: String(protocol),
      targetPort: String(targetPort),
      named: appProtocol !== undefined || PREFIXES.test(String(name)) || KNOWN_PORTS.has(Number(number)),
    };
  });
}

/** Several Services for the same pods. */
function checkSharedPorts({ templates, services }: World): Diagnostic[] {
  return templates
    .filter(({ object }) => object.kind !== 'ReplicaSet')
    .flatMap((owner) => {
      const selecting = services.filter(
        ({ service: { ref, selector } }) =>
          ref.namespace === owner.namespace &&
          selector !== undefined &&
          Object.keys(selector).length > 0 &&
          selects(selector, owner.labels),
      );
      if (selecting.length < 2) return [];
      const ports = selecting.flatMap((each) => rawPorts(each).map((port) => ({ ...port, of: each.service.ref.name })));
      return [
        ...clashes(
          ports,
          ({ number }) => String(number),
          ({ transport }) => transport,
        ).map(([number, names, found]) => {
          const message = `Services ${names} have its port ${number}, for ${found}: only one of them can be meant`;
          return say(owner, 'ISM0409', '', message, 'give one of them another port');
        }),
        ...clashes(
          ports,
          ({ targetPort }) => targetPort,
          ({ number }) => String(number),
        ).map(([target, names, found]) => {
          const message = `Services ${names} lead to its port ${target} by ports ${found}: what one of them says of it is said of all`;
          return say(owner, 'ISM0410', '', message, 'use one port for it in all of them');
        }),
      ];
    });
}

type OwnedPort = RawPort & { readonly of: string };

/** Groups by `key` in which `value` differs between Services: the key, the Services' names, and the values. */
function clashes(
  ports: readonly OwnedPort[],
  key: (p: OwnedPort) => string,
  value: (p: OwnedPort) => string,
): [string, string, string][] {
  return [...Map.groupBy(ports, key)].flatMap(([group, all]) => {
    const values = [...new Set(all.map(value))].sort();
    const names = [...new Set(all.map(({ of }) => of))].sort();
    return values.length > 1 && names.length > 1 ? [[group, names.join(', '), values.join(' and ')]] : [];
  });
}
