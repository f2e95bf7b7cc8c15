// SPDX-License-Identifier: Apache-2.0
// Dials a gateway past the sidecar: is the port open, what speaks there, whose certificates does it show.
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type DetailedPeerCertificate } from 'node:tls';
import { dialledAddresses } from './dialled-addresses.ts';
import type { Door, DoorSight, TcpOutcome, TlsOutcome } from './wire.ts';

const STEP_MS = 3_000;
const PLAIN_CHARS = 120;

export async function examine(door: Door): Promise<DoorSight> {
  const podMs = Date.now();
  const addresses = await addressesOf(door.address);
  const [address] = addresses;
  if (address === undefined)
    return { door, podMs, addresses, tcp: { error: 'the name does not resolve' }, otherPorts: [] };
  const [tcp, ...others] = await Promise.all([door.port, ...door.otherPorts].map((port) => dial(address, port)));
  const otherPorts = door.otherPorts.map((port, i) => ({ port, tcp: others[i]! }));
  if (tcp !== 'open') return { door, podMs, addresses, tcp: tcp!, otherPorts };
  const [tls, plain] = await Promise.all([shake(address, door), speakPlain(address, door.port)]);
  return { door, podMs, addresses, tcp, otherPorts, tls, plain };
}

async function addressesOf(address: string): Promise<string[]> {
  if (isIP(address) !== 0) return [address];
  try {
    return await dialledAddresses(address);
  } catch {
    return [];
  }
}

function dial(host: string, port: number): Promise<TcpOutcome> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: STEP_MS });
    const settle = (outcome: TcpOutcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.on('connect', () => settle('open'));
    socket.on('timeout', () => settle('silent'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const known = { ECONNREFUSED: 'refused', ECONNRESET: 'reset', ETIMEDOUT: 'silent' } as const;
      settle(known[error.code as keyof typeof known] ?? { error: error.code ?? error.message });
    });
  });
}

/** Without a certificate of its own: with TLS 1.3 the other side has shown its chain before it asks for one. */
function shake(host: string, { port, sni }: Door): Promise<TlsOutcome> {
  return new Promise((resolve) => {
    // What sidecars say to one another.
    const options = { host, port, servername: sni, rejectUnauthorized: false, ALPNProtocols: ['istio'] };
    const socket = connectTls(options);
    const settle = (outcome: TlsOutcome): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(STEP_MS, () => settle({ kind: 'silent', message: `no TLS answer within ${STEP_MS / 1000} s` }));
    socket.on('secureConnect', () => {
      settle({ kind: 'chain', protocol: socket.getProtocol() ?? '', chain: chainOf(socket.getPeerCertificate(true)) });
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const isTls = !/wrong version number|packet length too long|http request/i.test(error.message);
      settle({ kind: isTls ? 'closed' : 'not-tls', message: error.code ?? error.message });
    });
    socket.on('close', () => settle({ kind: 'closed', message: 'closed without a word' }));
  });
}

function chainOf(leaf: DetailedPeerCertificate): string[] {
  const seen = new Set<string>();
  const chain: string[] = [];
  for (let at: DetailedPeerCertificate | undefined = leaf; at?.raw !== undefined; at = at.issuerCertificate) {
    if (seen.has(at.fingerprint256)) break;
    seen.add(at.fingerprint256);
    chain.push(`-----BEGIN CERTIFICATE-----\n${at.raw.toString('base64')}\n-----END CERTIFICATE-----\n`);
  }
  return chain;
}

/** What reads the SNI closes on this; what speaks HTTP answers. */
function speakPlain(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket: Socket = connect({ host, port, timeout: STEP_MS }, () => {
      socket.write('GET / HTTP/1.1\r\nHost: isthmus-verify\r\nConnection: close\r\n\r\n');
    });
    const settle = (): void => {
      socket.destroy();
      resolve(heard.slice(0, PLAIN_CHARS));
    };
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      if (heard.length >= PLAIN_CHARS) settle();
    });
    socket.on('timeout', settle);
    socket.on('error', settle);
    socket.on('close', settle);
  });
}
