// SPDX-License-Identifier: Apache-2.0
// The recorded flows of a real API server, as ../recordings holds them; its README.md has the format.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RecordedBody {
  readonly json?: unknown;
  readonly text?: string;
  /** With `size`: its first 2,048 bytes only, when it is longer. */
  readonly base64?: string;
  readonly size?: number;
  /** The Status inside a protobuf body. */
  readonly decoded?: unknown;
  /** Too long to be kept. */
  readonly cut?: boolean;
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RecordedBody;
}

export interface RecordedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: RecordedBody;
  /** Of a watch. */
  readonly events?: readonly unknown[];
  readonly ended_by?: 'server' | 'client';
}

export interface Exchange {
  readonly request: RecordedRequest;
  readonly response: RecordedResponse;
}

export interface Step {
  readonly kubectl?: string;
  readonly http?: string;
  readonly note?: string;
  readonly token?: string;
  readonly stdout?: string;
  readonly background?: boolean;
  readonly exchanges?: readonly Exchange[];
}

export interface WebhookCall {
  readonly path: string;
  readonly request: unknown;
  readonly response: unknown;
}

export interface Flow {
  readonly name: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  readonly webhook_calls?: readonly WebhookCall[];
}

const FOLDER = fileURLToPath(new URL('../recordings', import.meta.url));

export function readFlows(): Flow[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Flow);
}
