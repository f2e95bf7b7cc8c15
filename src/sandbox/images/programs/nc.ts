// SPDX-License-Identifier: Apache-2.0
// `nc HOST PORT` for machines that have none: what comes in goes out, until either side has ended.
import { connect } from 'node:net';

const words = process.argv.slice(2);
const places = words.filter((word) => !word.startsWith('-'));
const unknown = words.find((word) => word.startsWith('-'));
const [host, port] = places;
if (unknown !== undefined || host === undefined || !(Number(port) > 0) || places.length !== 2) {
  console.error(
    `nc (the sandbox’s own): ${unknown === undefined ? '' : `option ${unknown} is unknown; `}give HOST PORT`,
  );
  process.exit(1);
}
const socket = connect({ host, port: Number(port), allowHalfOpen: true });
socket.on('error', (error) => {
  console.error(`nc: ${host} (${port}): ${error.message}`);
  process.exit(1);
});
// The far side's end is the end, also while somebody still types.
socket.on('end', () => process.stdout.write('', () => process.exit(0)));
process.stdin.pipe(socket).pipe(process.stdout);
