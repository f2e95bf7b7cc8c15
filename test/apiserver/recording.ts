// SPDX-License-Identifier: Apache-2.0
// Recorded flows of a real API server, if the machine has them: $ISTHMUS_RECORDINGS, else ../shared/recordings.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RecordedBody {
  readonly json?: unknown;
  readonly text?: string;
  readonly base64?: string;
  readonly decoded?: unknown;
  readonly cut?: boolean;
}

export interface Exchange {
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: RecordedBody;
  };
  readonly response?: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: RecordedBody;
    readonly events?: readonly unknown[];
    readonly ended_by?: string;
  };
}

export interface Step {
  readonly kubectl?: string;
  readonly http?: string;
  readonly token?: string;
  readonly background?: boolean;
  readonly exchanges?: readonly Exchange[];
}

export interface Flow {
  readonly name: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

/** undefined when this machine has none. */
export function recordingsFolder(): string | undefined {
  const folder =
    process.env['ISTHMUS_RECORDINGS'] ?? fileURLToPath(new URL('../../../shared/recordings', import.meta.url));
  return existsSync(join(folder, 'apply-configmap.json')) ? folder : undefined;
}

export function readFlows(folder: string): Flow[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Flow);
}
