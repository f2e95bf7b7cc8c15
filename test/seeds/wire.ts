// SPDX-License-Identifier: Apache-2.0
// What is on the external network between two clusters: looked at from inside the sandbox's namespaces.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, type TestSandbox } from '../fixture/sandbox.ts';

/** What a client learns that opens a TLS connection to a gateway's 15443. */
export interface TlsAnswer {
  /** The chain that was presented, leaf first; [] when the handshake was refused. */
  readonly chain: readonly { readonly uris: string; readonly pem: string }[];
  readonly protocol: string;
  /** What came after the handshake, or why there was none. */
  readonly end: string;
}

/** Runs a command in the namespaces of the sandbox: the external network's. */
async function inSandbox(sandbox: TestSandbox, command: readonly string[], timeoutMs = 30_000) {
  const record = JSON.parse(readFileSync(join(sandbox.dir, 'state/sandbox', sandbox.name, 'host.json'), 'utf8')) as {
    unshare: { pid: number };
  };
  const child = readFileSync(`/proc/${record.unshare.pid}/task/${record.unshare.pid}/children`, 'utf8')
    .trim()
    .split(' ')[0]!;
  const user = process.getuid?.() === 0 ? [] : ['-U', '--preserve-credentials'];
  return run('nsenter', ['-t', child, ...user, '-n', ...command], sandbox.env, timeoutMs);
}

/**
 * Opens TLS to `address` with `sni` and no certificate of its own, sends a request, and tells what came back. `alpn`: what
 * sidecars speak among themselves, unless given.
 */
export async function probeTls(
  sandbox: TestSandbox,
  address: string,
  port: number,
  sni: string,
  alpn = 'istio',
): Promise<TlsAnswer> {
  const result = await inSandbox(sandbox, [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(root, 'test/seeds/tls-probe.ts'),
    address,
    String(port),
    sni,
    alpn,
  ]);
  return JSON.parse(result.stdout) as TlsAnswer;
}

/** Sends plain HTTP to `address:port`; what came back, '' when the connection was closed without a byte. */
export async function probePlaintext(sandbox: TestSandbox, address: string, port: number): Promise<string> {
  const script = `
    const socket = require('node:net').connect(${port}, '${address}', () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'));
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('data', (d) => process.stdout.write(d)).on('error', () => {}).on('close', () => process.exit(0));`;
  return (await inSandbox(sandbox, [process.execPath, '-e', script])).stdout;
}

/**
 * Captures packets between two addresses on the external network while `work` runs; their payload as one buffer.
 * By python3's AF_PACKET: tcpdump is not everywhere.
 */
export async function captureWhile(
  sandbox: TestSandbox,
  addresses: readonly [string, string],
  work: () => Promise<void>,
): Promise<Buffer> {
  const file = join(sandbox.dir, 'capture');
  const script = `
import socket, sys, os
a, b = [socket.inet_aton(x) for x in sys.argv[1:3]]
out = open(sys.argv[3], "wb")
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
s.settimeout(0.2)
open(sys.argv[3] + ".ready", "w").close()
stopping = False
while True:
    if not stopping and os.path.exists(sys.argv[3] + ".stop"):
        # What the kernel holds by now is taken yet: on a busy machine that may be all of it.
        stopping = True
        s.setblocking(False)
    try:
        frame = s.recv(65536)
    except (socket.timeout, BlockingIOError):
        if stopping:
            break
        continue
    if frame[12:14] == b"\\x08\\x00" and {frame[26:30], frame[30:34]} == {a, b}:
        out.write(frame[34:])
out.close()
`;
  const capture = inSandbox(sandbox, ['python3', '-c', script, ...addresses, file], 60_000);
  const { existsSync, writeFileSync } = await import('node:fs');
  while (!existsSync(`${file}.ready`)) await new Promise((resolve) => setTimeout(resolve, 20));
  try {
    await work();
  } finally {
    writeFileSync(`${file}.stop`, '');
    await capture;
  }
  return readFileSync(file);
}
