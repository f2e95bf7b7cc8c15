// SPDX-License-Identifier: Apache-2.0
// What a program sees of a remote command (kubectl exec, attach), whatever protocol carries it.
import type { Readable, Writable } from 'node:stream';

export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** Which streams the client wants; from the kubelet's query (`input`, `output`, `error`, `tty`). */
export interface StreamSelection {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface ExecIo {
  /** Absent when the client sends no input. Ends when the client closes its side. Backpressure reaches the client. */
  readonly stdin?: Readable;
  /** Always there; what the client did not ask for is discarded. */
  readonly stdout: Writable;
  /** With a terminal the client never has a separate stderr: what is written here is discarded then. */
  readonly stderr: Writable;
  readonly tty: boolean;
  /** Calls `listener` for every size the client sends, and at once with the last one that came before. */
  onResize(listener: (size: TerminalSize) => void): void;
  /** Aborts when the client has gone: the program should be told (SIGHUP, end of input) or left, as its runtime likes. */
  readonly signal: AbortSignal;
}

/**
 * Runs the command and resolves when it has ended and its output was written. A rejection is told to the client as an
 * internal error with its message, so a message must name the container and hold no secret.
 */
export type ExecRun = (io: ExecIo) => Promise<{ exitCode: number }>;

/**
 * Reads the kubelet's query: `/exec/NS/POD/CONTAINER?command=a&command=b&input=1&output=1&error=1&tty=1`.
 * Throws an Error when no stream at all is asked for, as the kubelet does.
 */
export function parseStreamSelection(query: URLSearchParams): StreamSelection {
  const asked = (name: string) => query.get(name) === '1' || query.get(name) === 'true';
  const tty = asked('tty');
  // A terminal has one output; the kubelet ignores a separate stderr then.
  const selection = { stdin: asked('input'), stdout: asked('output'), stderr: asked('error') && !tty, tty };
  if (!selection.stdin && !selection.stdout && !selection.stderr) {
    throw new Error('you must specify at least 1 of stdin, stdout, stderr');
  }
  return selection;
}

/** The Status that goes over the error channel at the end (v4 and later). */
export function exitStatus(exitCode: number): Record<string, unknown> {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** The Status for a command that could not be run. */
export function failureStatus(error: unknown): Record<string, unknown> {
  const message = error instanceof Error ? error.message : String(error);
  return { metadata: {}, status: 'Failure', message, reason: 'InternalError', code: 500 };
}

/** Holds the last size until somebody listens: a resize may arrive before the program has started. */
export class ResizeChannel {
  private last: TerminalSize | undefined;
  private readonly listeners: ((size: TerminalSize) => void)[] = [];

  /** Takes one JSON message of the resize channel: `{"Width":80,"Height":24}`; anything else is ignored. */
  receive(text: string): void {
    const size = parseTerminalSize(text);
    if (!size) return;
    this.last = size;
    for (const listener of this.listeners) listener(size);
  }

  listen(listener: (size: TerminalSize) => void): void {
    this.listeners.push(listener);
    if (this.last) listener(this.last);
  }
}

function parseTerminalSize(text: string): TerminalSize | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { Width: width, Height: height } = value as { Width?: unknown; Height?: unknown };
  if (typeof width !== 'number' || typeof height !== 'number' || width < 1 || height < 1) return undefined;
  return { width, height };
}
