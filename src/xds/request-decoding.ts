// SPDX-License-Identifier: Apache-2.0
// Discovery requests from the wire to what sessions look at. The rest of the message (an Envoy's first one lists all of
// its extensions) is not kept.
import { fromBinary } from '@bufbuild/protobuf';
import type { Node } from '#gen/envoy/config/core/v3/base_pb.ts';
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import { GrpcError } from './grpc/status.ts';
import type { SessionRequest, Variant } from './session/session.ts';
import type { XdsNode } from './types.ts';

export interface DecodedRequest {
  /** Only Envoy's first request of a stream has one. */
  readonly node: XdsNode | undefined;
  readonly request: SessionRequest;
}

const MAX_ERROR_CHARS = 4096;

/**
 * Decodes a DiscoveryRequest or DeltaDiscoveryRequest. `impliedType` is the type of a service that knows only one, for
 * clients that leave it out there. Throws GrpcError on anything malformed.
 */
export function decodeRequest(variant: Variant, bytes: Uint8Array, impliedType?: string): DecodedRequest {
  try {
    return variant === 'delta' ? decodeDelta(bytes, impliedType) : decodeSotw(bytes, impliedType);
  } catch (error) {
    if (error instanceof GrpcError) throw error;
    throw new GrpcError('INVALID_ARGUMENT', `the message is no ${variant === 'delta' ? 'Delta' : ''}DiscoveryRequest`);
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
  if (impliedType !== undefined && type !== impliedType) {
    throw new GrpcError('INVALID_ARGUMENT', `this service serves ${impliedType} only`);
  }
  return type;
}

function decodeNode(node: Node | undefined): XdsNode | undefined {
  if (node === undefined) return undefined;
  return {
    id: node.id,
    cluster: node.cluster,
    metadata: node.metadata ?? {},
    userAgentVersion: agentVersion(node),
  };
}

function agentVersion(node: Node): string {
  const { userAgentVersionType: agent } = node;
  if (agent.case === 'userAgentVersion') return agent.value;
  const version = agent.case === 'userAgentBuildVersion' ? agent.value.version : undefined;
  return version === undefined ? '' : `${version.majorNumber}.${version.minorNumber}.${version.patch}`;
}
