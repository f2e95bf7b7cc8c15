// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { type Duplex, Writable } from 'node:stream';
import { type ExecRun, exitStatus, failureStatus, ResizeChannel, type StreamSelection } from './exec-session.ts';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';
import { refuseUpgrade } from './upgrade.ts';

const PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'] as const;
type ExecProtocol = (typeof PROTOCOLS)[number];
const STREAM_WAIT_MS = 30_000;

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

/** Serves exec or attach over SPDY/3.1. Resolves when the connection has closed. */
export async function serveSpdyExec(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  selection: StreamSelection,
  run: ExecRun,
): Promise<void> {
  const protocol = selectProtocol(req);
  if (!protocol) {
    const offered = req.headers['x-stream-protocol-version'];
    refuseUpgrade(
      socket,
      403,
      `unable to upgrade: unable to negotiate protocol: client supports [${offered}], server accepts [${PROTOCOLS.join(' ')}]`,
    );
    return;
  }
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  acceptSpdyUpgrade(socket, protocol);
  const waiting = new AwaitedStreams(expectedStreams(selection, protocol));
  const connection = new SpdyConnection(socket, head, (stream) => waiting.add(stream));
  const streams = await waiting.complete(closed);
  if (streams) await runSession(connection, streams, closed, protocol, selection, run);
  else socket.destroy();
  await closed;
}

/** Sends the 101 answer of an SPDY upgrade; the connection speaks SPDY from then on. */
export function acceptSpdyUpgrade(socket: Duplex, protocol: string): void {
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
}

/** The first of the client's protocols that we know; a client that names none speaks the oldest. */
function selectProtocol(req: IncomingMessage): ExecProtocol | undefined {
  const offered = offeredProtocols(req);
  if (offered.length === 0) return 'channel.k8s.io';
  for (const name of offered) {
    const known = PROTOCOLS.find((protocol) => protocol === name);
    if (known) return known;
  }
  return undefined;
}

/** X-Stream-Protocol-Version comes once per protocol, or as one list. */
export function offeredProtocols(req: IncomingMessage): string[] {
  const header = req.headers['x-stream-protocol-version'];
  if (header === undefined) return [];
  return [header].flat().flatMap((line) => line.split(',').map((name) => name.trim()));
}

function expectedStreams(selection: StreamSelection, protocol: ExecProtocol): StreamType[] {
  const expected: StreamType[] = ['error'];
  if (selection.stdin) expected.push('stdin');
  if (selection.stdout) expected.push('stdout');
  if (selection.stderr) expected.push('stderr');
  if (selection.tty && (protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io')) expected.push('resize');
  return expected;
}

type StreamsByType = ReadonlyMap<StreamType, SpdyStream>;

/** Collects the streams of a session, which the client opens one by one. */
class AwaitedStreams {
  private readonly missing: Set<StreamType>;
  private readonly found = new Map<StreamType, SpdyStream>();
  private readonly done = Promise.withResolvers<StreamsByType>();

  constructor(expected: readonly StreamType[]) {
    this.missing = new Set(expected);
  }

  add(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype') as StreamType | undefined;
    if (!type || !this.missing.delete(type)) {
      // Not asked for, or twice: refused by closing both of its sides.
      stream.end();
      stream.resume();
      return;
    }
    this.found.set(type, stream);
    if (this.missing.size === 0) this.done.resolve(this.found);
  }

  /** Undefined when the client has gone or did not open all in time. */
  async complete(closed: Promise<void>): Promise<StreamsByType | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, STREAM_WAIT_MS, undefined);
    });
    const streams = await Promise.race([this.done.promise, timeout, closed.then(() => undefined)]);
    clearTimeout(timer);
    return streams;
  }
}

async function runSession(
  connection: SpdyConnection,
  streams: StreamsByType,
  closed: Promise<void>,
  protocol: ExecProtocol,
  selection: StreamSelection,
  run: ExecRun,
): Promise<void> {
  const gone = new AbortController();
  void closed.then(() => gone.abort());
  const resize = new ResizeChannel();
  const resizeStream = streams.get('resize');
  if (resizeStream) readResizes(resizeStream, resize);
  for (const type of ['error', 'stdout', 'stderr'] as const) streams.get(type)?.resume();
  let status: Record<string, unknown>;
  try {
    const { exitCode } = await run({
      stdin: streams.get('stdin'),
      stdout: streams.get('stdout') ?? discard(),
      stderr: streams.get('stderr') ?? discard(),
      tty: selection.tty,
      onResize: (listener) => resize.listen(listener),
      signal: gone.signal,
    });
    status = exitStatus(exitCode);
  } catch (error) {
    status = failureStatus(error);
  }
  // The output ends before the status comes: clients that copy both wait for the first.
  await Promise.all([endStream(streams.get('stdout')), endStream(streams.get('stderr'))]);
  const error = streams.get('error');
  if (protocol === 'v4.channel.k8s.io') error?.write(JSON.stringify(status));
  else if (status.status !== 'Success') error?.write(String(status.message));
  await Promise.all([endStream(error), endStream(streams.get('stdin'))]);
  connection.close();
}

/** Ends our side, whoever may have ended or destroyed it before. */
function endStream(stream: SpdyStream | undefined): Promise<void> {
  if (!stream || stream.writableFinished || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('close', resolve);
    stream.end(() => resolve());
  });
}

/** The resize stream is a sequence of JSON objects with nothing but white space between them. */
function readResizes(stream: SpdyStream, resize: ResizeChannel): void {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      resize.receive(text.slice(0, end + 1));
      text = text.slice(end + 1);
    }
  });
}

function discard(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
