// SPDX-License-Identifier: Apache-2.0
// Small messages that many resources are made of.
import { create, type DescMessage, type Message, type MessageInitShape } from '@bufbuild/protobuf';
import type { WireType } from '@bufbuild/protobuf/wire';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { type Address, AddressSchema } from '#gen/envoy/config/core/v3/address_pb.ts';
import { ApiVersion, type ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { AdditionalAddressSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import type { StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.ts';
import { FractionalPercent_DenominatorType, type FractionalPercentSchema } from '#gen/envoy/type/v3/percent_pb.ts';
import type { TextMatch } from '../intent/route-types.ts';
import { encode } from './encode.ts';

/** What a message is made of: plain data, of which nothing is built before it is written (encode.ts). */
export type Init<D extends DescMessage> = Exclude<MessageInitShape<D>, Message>;

/** A message with a field that the package's API is too old for; `data` as it is on the wire, behind the tag. */
export function withField<M extends Message>(message: M, no: number, wireType: WireType, data: Uint8Array): M {
  message.$unknown = [...(message.$unknown ?? []), { no, wireType, data }];
  return message;
}

/** A message inside of an Any. */
export function packed<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any {
  return {
    $typeName: 'google.protobuf.Any',
    typeUrl: `type.googleapis.com/${schema.typeName}`,
    value: encode(schema, init),
  };
}

export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return {
    $typeName: 'google.protobuf.Duration',
    seconds: BigInt(seconds),
    nanos: Math.round((ms - seconds * 1000) * 1e6),
  };
}

export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, socketInit(address, port));
}

/** What it is made of, for the many. */
export function socketInit(address: string, port: number): Init<typeof AddressSchema> {
  return { address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } } };
}

/** `''`: every address; `unix://` and a path or, after an @, a name in Linux' abstract namespace: a Unix socket. */
export function listenAddress(address: string, port: number): Address {
  const path = unixPath(address);
  if (path !== '') return create(AddressSchema, { address: { case: 'pipe', value: { path } } });
  return socketAddress(address === '' ? EVERY_ADDRESS : address, port);
}

const EVERY_ADDRESS = '0.0.0.0';
const EVERY_IPV6_ADDRESS = '::';

/** What listens at every IPv4 address, at every IPv6 one, too. */
export function onBothFamilies(listener: Listener): Listener {
  const { address } = listener;
  if (address?.address.case !== 'socketAddress' || address.address.value.address !== EVERY_ADDRESS) return listener;
  const { portSpecifier } = address.address.value;
  const additional = { case: 'socketAddress', value: { address: EVERY_IPV6_ADDRESS, portSpecifier } } as const;
  listener.additionalAddresses.push(create(AdditionalAddressSchema, { address: { address: additional } }));
  return listener;
}

export function unixPath(address: string): string {
  const [, path = ''] = /^unix:\/\/(.+)$/.exec(address) ?? [];
  return path;
}

/** "By the stream that this came on." Without a time limit: nothing starts half-configured. */
export function byAds(): Init<typeof ConfigSourceSchema> {
  return {
    resourceApiVersion: ApiVersion.V3,
    initialFetchTimeout: duration(0),
    configSourceSpecifier: { case: 'ads', value: {} },
  };
}

export function stringMatcher({ kind, value }: TextMatch): Init<typeof StringMatcherSchema> {
  return { matchPattern: kind === 'regex' ? { case: 'safeRegex', value: { regex: value } } : { case: kind, value } };
}

/** Percent with four digits after the point, as fine as Envoy can. */
export function fraction(percent: number): Init<typeof FractionalPercentSchema> {
  return {
    numerator: Math.round(percent * 10_000),
    denominator: FractionalPercent_DenominatorType.MILLION,
  };
}
