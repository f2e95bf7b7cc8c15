// SPDX-License-Identifier: Apache-2.0
// A gRPC health check: one unary call on a connection of its own, without TLS, as the kubelet makes it.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import { connect, constants } from 'node:http2';

export interface GrpcCheckTarget {
  readonly host: string;
  readonly port: number;
  /** '' asks for the server as a whole. */
  readonly service: string;
}

const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const FRAME_HEADER_BYTES = 5;
const GRPC_UNIMPLEMENTED = '12';
/** An answer is two bytes; whoever sends more speaks something else. */
const MAX_ANSWER_BYTES = 1024;

/** Resolves with what is wrong; undefined when the service says that it serves. Never rejects. */
export function checkGrpcHealth(
  { host, port, service }: GrpcCheckTarget,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = connect(`http://${host}:${port}`);
    const end = (problem: string | undefined) => {
      clearTimeout(timer);
      session.destroy();
      resolve(problem);
    };
    const timer = setTimeout(
      () =>
        end(
          `timeout: failed to connect service "${host}:${port}" within ${timeoutMs / 1000}s: context deadline exceeded`,
        ),
      timeoutMs,
    );
    session.on('error', (error) => end(`error: this server is not reachable by gRPC: ${error.message}`));
    const call = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'kube-probe/1.32 grpc',
    });
    let status = '';
    let statusMessage = '';
    let answer = Buffer.alloc(0);
    const takeStatus = (headers: Record<string, unknown>) => {
      status = String(headers['grpc-status'] ?? status);
      statusMessage = String(headers['grpc-message'] ?? statusMessage);
    };
    call.on('response', takeStatus);
    call.on('trailers', takeStatus);
    call.on('data', (chunk: Buffer) => {
      if (answer.length < MAX_ANSWER_BYTES) answer = Buffer.concat([answer, chunk]);
    });
    call.on('error', (error) => end(`error: health rpc failed: ${error.message}`));
    call.on('end', () => {
      if (status === GRPC_UNIMPLEMENTED)
        end('error: this server does not implement the grpc health protocol (grpc.health.v1.Health)');
      else if (status !== '0') end(`error: health rpc failed: rpc error: code = ${status} desc = ${statusMessage}`);
      else end(problemOf(answer));
    });
    call.end(encodeRequest(service));
  });
}

/** HealthCheckRequest { string service = 1; } in a gRPC frame. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service);
  // A service's name is at most 253 characters, so its length takes at most two bytes.
  const length = name.length < 128 ? Buffer.of(name.length) : Buffer.of((name.length & 0x7f) | 0x80, name.length >> 7);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(0x0a), length, name]);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** HealthCheckResponse { ServingStatus status = 1; }; an absent field is 0. */
function problemOf(answer: Buffer): string | undefined {
  const message = answer.subarray(FRAME_HEADER_BYTES);
  const value = message.length >= 2 && message[0] === 0x08 ? (message[1] ?? 0) : 0;
  const text = SERVING_STATUS[value] ?? String(value);
  return text === 'SERVING' ? undefined : `service unhealthy (responded with "${text}")`;
}
