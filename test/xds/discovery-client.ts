// SPDX-License-Identifier: Apache-2.0
// A discovery client on @grpc/grpc-js: an implementation of gRPC that is not ours.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.ts';

export const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
export const SDS = '/envoy.service.secret.v3.SecretDiscoveryService';

export interface DiscoveryClientOptions {
  readonly rootPem?: string;
  readonly serverName?: string;
  /** What this client proves itself with. */
  readonly own?: { readonly certPem: string; readonly keyPem: string };
  readonly token?: string;
}

export function connectClient(port: number, options: DiscoveryClientOptions = {}): Client {
  const { rootPem, serverName, own } = options;
  const [key, chain] = [own && Buffer.from(own.keyPem), own && Buffer.from(own.certPem)];
  const channel =
    rootPem === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(rootPem), key, chain);
  return new Client(`127.0.0.1:${port}`, channel, {
    'grpc.max_receive_message_length': -1,
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  });
}

/** A stream whose responses are awaited one by one. */
class DiscoveryStream<Request, Response> {
  readonly ended: Promise<StatusObject>;
  readonly #call: ClientDuplexStream<Request, Response>;
  readonly #responses: Response[] = [];
  #wake: (() => void) | undefined;

  constructor(call: ClientDuplexStream<Request, Response>) {
    this.#call = call;
    this.ended = new Promise((resolve) => {
      call.on('status', resolve);
    });
    call.on('error', () => {});
    call.on('data', (response: Response) => {
      this.#responses.push(response);
      this.#wake?.();
    });
  }

  send(request: Request): void {
    this.#call.write(request);
  }

  async next(timeoutMs = 5000): Promise<Response> {
    const deadlineMs = Date.now() + timeoutMs;
    while (this.#responses.length === 0) {
      if (Date.now() > deadlineMs) throw new Error('no response came');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 50);
      });
    }
    return this.#responses.shift() as Response;
  }

  /** True when no response comes within `ms`. */
  async isQuiet(ms = 100): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return this.#responses.length === 0;
  }

  close(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

function metadataOf(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

export function openDelta(
  client: Client,
  token?: string,
  method = `${ADS}/DeltaAggregatedResources`,
): DiscoveryStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  return new DiscoveryStream(
    client.makeBidiStreamRequest(
      method,
      (request: DeltaDiscoveryRequest) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)),
      (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
      metadataOf(token),
    ),
  );
}

export function openSotw(
  client: Client,
  token?: string,
  method = `${ADS}/StreamAggregatedResources`,
): DiscoveryStream<DiscoveryRequest, DiscoveryResponse> {
  return new DiscoveryStream(
    client.makeBidiStreamRequest(
      method,
      (request: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
      (bytes) => fromBinary(DiscoveryResponseSchema, bytes),
      metadataOf(token),
    ),
  );
}

export function deltaRequest(init: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): DeltaDiscoveryRequest {
  return create(DeltaDiscoveryRequestSchema, init);
}

export function sotwRequest(init: MessageInitShape<typeof DiscoveryRequestSchema>): DiscoveryRequest {
  return create(DiscoveryRequestSchema, init);
}
