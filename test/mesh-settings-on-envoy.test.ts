// SPDX-License-Identifier: Apache-2.0
// What the mesh's settings for security come to between real sidecars.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { until } from './fixture/waiting.ts';
import { SidecarPair } from './telemetry/sidecar-pair.ts';

const envoyPath = findEnvoy();

test.skipIf(envoyPath === undefined)('paths are decoded, and TLS before 1.3 is refused', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-mesh-settings-'));
  const log = join(dir, 'log');
  const pair = await SidecarPair.start(envoyPath!, {
    mesh: `
accessLogFile: ${log}
accessLogFormat: "%REQ(:PATH)% %DOWNSTREAM_TLS_VERSION%\\n"
pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
meshMTLS: {minProtocolVersion: TLSV1_3}
`,
  });
  try {
    expect(pair.diagnostics).toEqual([]);
    expect((await pair.request('/a//b%2Fc/../d')).status).toBe(200);
    await until('the log', () => existsSync(log) && readFileSync(log, 'utf8').split('\n').length > 2);
    expect(readFileSync(log, 'utf8').trim().split('\n').sort()).toEqual(['/a/b/d -', '/a/b/d TLSv1.3']);
    const [port] = [...(await pair.server.listeners()).values()];
    expect(await refusal(port!, 'TLSv1.2')).toMatch(/PROTOCOL_VERSION/);
    // What is refused there is the missing certificate.
    expect(await refusal(port!, 'TLSv1.3')).toMatch(/CERTIFICATE_REQUIRED/);
  } finally {
    await pair.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});

/** Code of the alert by which a sidecar ends the TLS of a client of this version. */
function refusal(port: number, maxVersion: tls.SecureVersion): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = tls.connect({ host: '127.0.72.1', port, maxVersion, rejectUnauthorized: false });
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  socket.on('close', () => reject(new Error('no alert')));
  return promise;
}
