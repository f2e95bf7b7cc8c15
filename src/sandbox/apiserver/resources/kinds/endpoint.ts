// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { IMMUTABLE, invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, member } from '../kind-builder.ts';

interface Subset {
  addresses?: { ip: string }[];
  notReadyAddresses?: { ip: string }[];
  ports?: { name?: string; port: number; protocol?: string }[];
}

interface Endpoint {
  addresses: string[];
  conditions?: { ready?: boolean };
}

interface SlicePort {
  name?: string;
  port?: number;
  protocol?: string;
}

const IP_ADVICE = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];
const SHOWN = 3;

const subsets = (object: KubeObject): Subset[] => member<Subset[]>(object, 'subsets') ?? [];
const sliceEndpoints = (object: KubeObject): Endpoint[] => member<Endpoint[]>(object, 'endpoints') ?? [];
const slicePorts = (object: KubeObject): SlicePort[] => member<SlicePort[]>(object, 'ports') ?? [];

function shorten(list: readonly string[], none: string): string {
  if (list.length === 0) return none;
  const more = list.length > SHOWN ? ` + ${list.length - SHOWN} more...` : '';
  return list.slice(0, SHOWN).join(',') + more;
}

function endpointList(object: KubeObject): string {
  const list = subsets(object).flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) => addresses.map(({ ip }) => `${ip}:${port}`)),
  );
  return shorten(list, '<none>');
}

function validateEndpoints(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const [index, subset] of subsets(object).entries()) {
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      for (const [position, { ip }] of (subset[list] ?? []).entries()) {
        if (isIP(ip) === 0) causes.push(invalidValue(`subsets[${index}].${list}[${position}].ip`, ip, IP_ADVICE));
      }
    }
    if (!subset.addresses?.length && !subset.notReadyAddresses?.length) {
      causes.push(required(`subsets[${index}]`, 'must specify `addresses` or `notReadyAddresses`'));
    }
  }
  return causes;
}

function validateSlice(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const type = String(object['addressType'] ?? '');
  if (type === '') causes.push(required('addressType'));
  else if (!ADDRESS_TYPES.includes(type)) causes.push(unsupported('addressType', type, ADDRESS_TYPES));
  for (const [index, { addresses }] of sliceEndpoints(object).entries()) {
    if (!addresses?.length) causes.push(required(`endpoints[${index}].addresses`, 'must contain at least 1 address'));
    for (const [position, address] of (addresses ?? []).entries()) {
      const field = `endpoints[${index}].addresses[${position}]`;
      const family = isIP(address);
      if (type === 'FQDN') continue;
      if (family === 0) causes.push(invalidValue(field, address, IP_ADVICE));
      else if (`IPv${family}` !== type) causes.push(invalidValue(field, address, `must be an ${type} address`));
    }
  }
  return causes;
}

export function endpointKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Endpoints',
      resource: 'endpoints',
      versions: [
        {
          group: '',
          version: 'v1',
          type: 'core.v1.Endpoints',
          deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
          defaults(object) {
            for (const { ports = [] } of subsets(object)) for (const port of ports) port.protocol ??= 'TCP';
          },
        },
      ],
      shortNames: ['ep'],
      columns: [NAME, column('Endpoints', endpointList), AGE],
      strategy: { validate: validateEndpoints },
    }),
    defineKind(types, {
      kind: 'EndpointSlice',
      resource: 'endpointslices',
      versions: [
        {
          group: 'discovery.k8s.io',
          version: 'v1',
          type: 'discovery.v1.EndpointSlice',
          defaults(object) {
            for (const port of slicePorts(object)) {
              port.name ??= '';
              port.protocol ??= 'TCP';
            }
          },
        },
      ],
      columns: [
        NAME,
        column('AddressType', (object) => String(object['addressType'] ?? '')),
        column('Ports', (object) =>
          shorten(
            slicePorts(object).map(({ port }) => String(port ?? '*')),
            '<unset>',
          ),
        ),
        column('Endpoints', (object) =>
          shorten(
            sliceEndpoints(object).flatMap(({ addresses }) => addresses),
            '<unset>',
          ),
        ),
        AGE,
      ],
      strategy: {
        generation: true,
        validate: validateSlice,
        // Alone: what the addresses are then is no longer asked.
        immutable: (object, old) =>
          object['addressType'] === old['addressType']
            ? []
            : [invalidValue('addressType', object['addressType'], IMMUTABLE)],
      },
    }),
  ];
}
