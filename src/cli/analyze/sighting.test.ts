// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seeCluster } from './sighting.ts';

test('an API server that takes connections and says nothing does not hold anybody up', async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const dir = mkdtempSync(join(tmpdir(), 'sighting-'));
  const kubeconfig = join(dir, 'config');
  writeFileSync(
    kubeconfig,
    `clusters: [{ name: c, cluster: { server: "${address}" } }]\ncontexts: [{ name: c, context: { cluster: c } }]\n`,
  );
  const files = { objects: [], diagnostics: [] };
  try {
    await expect(seeCluster({ context: 'c', kubeconfig, allNamespaces: true, files, answerMs: 200 })).rejects.toThrow(
      `${address} takes the connection and has not answered for 0.2 s`,
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(dir, { recursive: true });
  }
});
