// SPDX-License-Identifier: Apache-2.0
// gRPC status codes, status messages and deadlines as they stand in HTTP/2 headers.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof STATUS;

/** Ends the call with `code`; `message` travels to the peer, so it must hold no secret. */
export class GrpcError extends Error {
  readonly code: StatusName;
  constructor(code: StatusName, message: string) {
    super(message);
    this.code = code;
  }
}

/** Longer messages would not fit into a peer's header limit together with the rest. */
const MAX_MESSAGE_CHARS = 1024;

/**
 * Percent-encoding of a `grpc-message`: all but printable ASCII, and `%` itself. Cut to what trailers can carry. Envoy's log
 * shows it as it is encoded, so typographic quotes become plain ones.
 */
export function encodeStatusMessage(message: string): string {
  let encoded = '';
  const plain = message.slice(0, MAX_MESSAGE_CHARS).replaceAll(/[‘’]/g, "'").replaceAll(/[“”]/g, '"');
  for (const octet of Buffer.from(plain, 'utf8')) {
    const printable = octet >= 0x20 && octet <= 0x7e && octet !== 0x25;
    encoded += printable ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** `grpc-timeout` (at most eight digits and a unit) in milliseconds. Throws GrpcError on anything else. */
export function decodeTimeoutMs(header: string): number {
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  if (match === null) throw new GrpcError('INVALID_ARGUMENT', 'grpc-timeout is malformed');
  return Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 0);
}
