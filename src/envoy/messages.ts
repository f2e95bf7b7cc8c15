// SPDX-License-Identifier: Apache-2.0
// Small messages that many resources are made of.
import { create, type DescMessage, type Message, type MessageInitShape } from '@bufbuild/protobuf';
import type { WireType } from '@bufbuild/protobuf/wire';
import { type Any, anyPack, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import { type Address, AddressSchema } from '#gen/envoy/config/core/v3/address_pb.ts';
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { AdditionalAddressSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RegexMatcherSchema } from '#gen/envoy/type/matcher/v3/regex_pb.ts';
import { type StringMatcher, StringMatcherSchema } from '#gen/envoy/type/matcher/v3/string_pb.ts';
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
  FractionalPercentSchema,
} from '#gen/envoy/type/v3/percent_pb.ts';
import type { TextMatch } from '../intent/route-types.ts';

/** A message with a field that the package's API is too old for; `data` as it is on the wire, behind the tag. */
export function withField<M extends Message>(message: M, no: number, wireType: WireType, data: Uint8Array): M {
  message.$unknown = [...(message.$unknown ?? []), { no, wireType, data }];
  return message;
}

/** A message inside of an Any. */
export function packed<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any {
  return anyPack(schema, create(schema, init));
}

export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) });
}

export function socketAddress(address: string, port: number): Address {
  return create(AddressSchema, {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  });
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
export function byAds(): ConfigSource {
  return create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    initialFetchTimeout: duration(0),
    configSourceSpecifier: { case: 'ads', value: {} },
  });
}

export function stringMatcher(match: TextMatch): StringMatcher {
  if (match.kind === 'regex') {
    const value = create(RegexMatcherSchema, { regex: match.value });
    return create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value } });
  }
  return create(StringMatcherSchema, { matchPattern: { case: match.kind, value: match.value } });
}

/** Percent with four digits after the point, as fine as Envoy can. */
export function fraction(percent: number): FractionalPercent {
  return create(FractionalPercentSchema, {
    numerator: Math.round(percent * 10_000),
    denominator: FractionalPercent_DenominatorType.MILLION,
  });
}
