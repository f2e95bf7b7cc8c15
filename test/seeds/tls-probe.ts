// SPDX-License-Identifier: Apache-2.0
// Run inside the sandbox's namespaces: `tls-probe.ts ADDRESS PORT SNI ALPN` opens TLS without a client certificate and prints
// a TlsAnswer (wire.ts) as JSON.
import { connect, type DetailedPeerCertificate } from 'node:tls';
import type { TlsAnswer } from './wire.ts';

const [host, port, servername, alpn] = process.argv.slice(2);
const socket = connect({
  host: host!,
  port: Number(port),
  servername: servername!,
  rejectUnauthorized: false,
  ALPNProtocols: [alpn!],
});
let chain: TlsAnswer['chain'] = [];
let protocol = '';
let received = '';
const finish = (end: string): void => {
  process.stdout.write(JSON.stringify({ chain, protocol, end } satisfies TlsAnswer));
  process.exit(0);
};
socket.on('secureConnect', () => {
  protocol = socket.getProtocol() ?? '';
  const certificates: DetailedPeerCertificate[] = [];
  for (
    let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
    at?.raw;
    at = at.issuerCertificate
  ) {
    if (certificates.some((c) => c.fingerprint256 === at!.fingerprint256)) break;
    certificates.push(at);
  }
  chain = certificates.map((c) => ({
    uris: c.subjectaltname ?? '',
    pem: `-----BEGIN CERTIFICATE-----\n${c.raw.toString('base64')}\n-----END CERTIFICATE-----\n`,
  }));
  socket.write('GET /reviews/0 HTTP/1.1\r\nHost: reviews\r\n\r\n');
});
socket.on('data', (data) => {
  received += data.toString('latin1');
});
socket.on('error', (error) => finish(`refused: ${error.message}`));
socket.on('close', () => finish(received === '' ? 'closed without a byte' : `answered: ${received}`));
socket.setTimeout(5_000, () => finish(received === '' ? 'no answer within 5 s' : `answered: ${received}`));
