// SPDX-License-Identifier: Apache-2.0
// The API server as a process of its own, for tests that kill it: node server-process.ts DATA_DIR PORT
import { startApiServer } from '../../src/sandbox/apiserver/main.ts';
import { ensureClusterPki } from '../../src/sandbox/apiserver/pki.ts';

const [dataDir = '', portText = ''] = process.argv.slice(2);
const port = Number(portText);
ensureClusterPki(dataDir, { clusterName: 'test', server: `https://127.0.0.1:${port}`, addresses: [], dnsNames: [] });
await startApiServer(
  { clusterName: 'test', dataDir, listen: { host: '127.0.0.1', port }, advertiseAddresses: ['127.0.0.1'] },
  (level, message) => process.stderr.write(`${level} ${message}\n`),
  new AbortController().signal,
);
process.stdout.write('ready\n');
