// SPDX-License-Identifier: Apache-2.0
// Discovery requests from the wire to what sessions look at. The rest of the message (an Envoy's first one lists all of
// its extensions) is not kept.
import { fromBinary } from '@bufbuild/protobuf';
import type { Node } from '#gen/envoy/config/core/v3/base_pb.ts';
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { KnownMessages } from './grpc/framing.ts';
import { GrpcError } from './grpc/status.ts';
import type { SessionRequest, Variant } from './session/session.ts';
import { SECRET_TYPE } from './session/type-urls.ts';
import type { XdsNode } from './types.ts';

export interface DecodedRequest {
  /** Only Envoy's first request of a stream has one. */
  readonly node: XdsNode | undefined;
  readonly request: SessionRequest;
}

const MAX_ERROR_CHARS = 4096;
const MAX_TYPE_CHARS = 512;
/** What a node says of itself is kept as long as its stream is: labels, and a few dozen facts. */
const MAX_NODE_CHARS = 256 * 1024;

/**
 * Decodes a DiscoveryRequest or DeltaDiscoveryRequest. `impliedType` is the type of a service that knows only one, for
 * clients that leave it out there. Throws GrpcError on anything malformed.
 */
function decodeRequest(variant: Variant, bytes: Uint8Array, impliedType?: string): DecodedRequest {
  try {
    return variant === 'delta' ? decodeDelta(bytes, impliedType) : decodeSotw(bytes, impliedType);
  } catch (error) {
    if (error instanceof GrpcError) throw error;
    throw new GrpcError('INVALID_ARGUMENT', `the message is no ${variant === 'delta' ? 'Delta' : ''}DiscoveryRequest`);
  }
}

/** From so many bytes on a request without a node is likely to be one that others have sent as well. */
const REMEMBER_FROM_BYTES = 4096;
const MAX_REMEMBERED_BYTES = 4 * 1024 * 1024;

/** Acknowledgements, of which all streams send the same after a change. */
const SHORT_BYTES = 256;
const MAX_SHORT = 4096;

/**
 * Decodes requests, and knows acknowledgements and the latest long ones again: sidecars of one mesh ask for the endpoints of
 * the same thousands of clusters. Equal bytes give the very same request.
 */
export class RequestDecoder implements KnownMessages {
  readonly #short = new Map<string, DecodedRequest>();
  /** The latest last. */
  #known: {
    readonly bytes: Uint8Array;
    readonly variant: Variant;
    readonly impliedType: string | undefined;
    readonly decoded: DecodedRequest;
  }[] = [];

  find(length: number, start: Uint8Array): Uint8Array | undefined {
    if (length < REMEMBER_FROM_BYTES) return undefined;
    const isAlike = ({ bytes }: { readonly bytes: Uint8Array }) =>
      bytes.length === length && Buffer.compare(bytes.subarray(0, start.length), start) === 0;
    return this.#known.find(isAlike)?.bytes;
  }

  decode(variant: Variant, bytes: Uint8Array, impliedType?: string): DecodedRequest {
    if (bytes.length <= SHORT_BYTES) return this.#decodeShort(variant, bytes, impliedType);
    if (bytes.length < REMEMBER_FROM_BYTES) return decodeRequest(variant, bytes, impliedType);
    const known = this.#known.find(
      (each) =>
        each.variant === variant &&
        each.impliedType === impliedType &&
        (each.bytes === bytes || Buffer.compare(each.bytes, bytes) === 0),
    );
    if (known !== undefined) return known.decoded;
    const decoded = decodeRequest(variant, bytes, impliedType);
    if (decoded.node === undefined && decoded.request.typeUrl !== SECRET_TYPE) {
      this.#known.push({ bytes: Uint8Array.from(bytes), variant, impliedType, decoded });
      let sum = this.#known.reduce((total, each) => total + each.bytes.length, 0);
      while (sum > MAX_REMEMBERED_BYTES) sum -= this.#known.shift()!.bytes.length;
    }
    return decoded;
  }

  #decodeShort(variant: Variant, bytes: Uint8Array, impliedType = ''): DecodedRequest {
    const key = `${variant} ${impliedType} ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')}`;
    const known = this.#short.get(key);
    if (known !== undefined) return known;
    const decoded = decodeRequest(variant, bytes, impliedType === '' ? undefined : impliedType);
    if (this.#short.size >= MAX_SHORT) this.#short.clear();
    this.#short.set(key, decoded);
    return decoded;
  }
}

function decodeDelta(bytes: Uint8Array, impliedType: string | undefined): DecodedRequest {
  const message = fromBinary(DeltaDiscoveryRequestSchema, bytes, { readUnknownFields: false });
  return {
    node: decodeNode(message.node),
    request: {
      typeUrl: requireType(message.typeUrl, impliedType),
      nonce: message.responseNonce,
      errorMessage: message.errorDetail?.message.slice(0, MAX_ERROR_CHARS),
      subscribe: message.resourceNamesSubscribe,
      unsubscribe: message.resourceNamesUnsubscribe,
      initialVersions: Object.entries(message.initialResourceVersions),
    },
  };
}

function decodeSotw(bytes: Uint8Array, impliedType: string | undefined): DecodedRequest {
  const message = fromBinary(DiscoveryRequestSchema, bytes, { readUnknownFields: false });
  return {
    node: decodeNode(message.node),
    request: {
      typeUrl: requireType(message.typeUrl, impliedType),
      nonce: message.responseNonce,
      errorMessage: message.errorDetail?.message.slice(0, MAX_ERROR_CHARS),
      subscribe: message.resourceNames,
      unsubscribe: [],
      initialVersions: [],
    },
  };
}

function requireType(typeUrl: string, impliedType: string | undefined): string {
  const type = typeUrl === '' ? impliedType : typeUrl;
  if (type === undefined) throw new GrpcError('INVALID_ARGUMENT', 'the request has no type_url');
  if (type.length > MAX_TYPE_CHARS)
    throw new GrpcError('INVALID_ARGUMENT', 'the type_url is longer than that of any type');
  if (impliedType !== undefined && type !== impliedType) {
    throw new GrpcError('INVALID_ARGUMENT', `this service serves ${impliedType} only`);
  }
  return type;
}

function decodeNode(node: Node | undefined): XdsNode | undefined {
  if (node === undefined) return undefined;
  const { id, cluster, metadata = {} } = node;
  const kept = { id, cluster, metadata, userAgentVersion: agentVersion(node) };
  if (JSON.stringify(kept).length > MAX_NODE_CHARS) {
    throw new GrpcError('INVALID_ARGUMENT', `the node and its metadata are longer than ${MAX_NODE_CHARS} characters`);
  }
  return kept;
}

function agentVersion(node: Node): string {
  const { userAgentVersionType: agent } = node;
  if (agent.case === 'userAgentVersion') return agent.value;
  const version = agent.case === 'userAgentBuildVersion' ? agent.value.version : undefined;
  return version === undefined ? '' : `${version.majorNumber}.${version.minorNumber}.${version.patch}`;
}
