// SPDX-License-Identifier: Apache-2.0
// `tcp-echo 9000,9001 one`: each line that comes in goes back with the word before it.
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [ports = '', word] = process.argv.slice(2);
if (ports === '' || word === undefined) {
  console.error('give ports and a word: 9000,9001 one');
  process.exit(1);
}
for (const port of ports.split(',')) {
  const server = createServer((socket) => answer(socket, word));
  server.listen(Number(port), '0.0.0.0', () => console.log(`listening on ${port}, prefix: ${word}`));
}
process.on('SIGTERM', () => process.exit(0));

function answer(socket: Socket, prefix: string): void {
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => {
    console.log(`request: ${line}`);
    socket.write(`${prefix} ${line}\n`);
  });
}
