// SPDX-License-Identifier: Apache-2.0
// node bench/on-demand-load.ts --dir MESH [--addr 127.0.0.1:15010] [--mode CLUSTERS_ON_DEMAND] [--proxies 500] [--used 10]
//   [--repeat 5] [--pid PID]
// Plays sidecars that fetch their configuration on demand (on-demand/load.ts) against a server that runs already; prints latency,
// bytes and the server's CPU.
import { parseArgs } from 'node:util';
import { CONFIG_DELIVERIES } from '../src/api/config-delivery.ts';
import { playOnDemand } from './on-demand/load.ts';

const { values: flags } = parseArgs({
  options: {
    addr: { type: 'string', default: '127.0.0.1:15010' },
    dir: { type: 'string' },
    mode: { type: 'string', default: 'CLUSTERS_ON_DEMAND' },
    proxies: { type: 'string', default: '500' },
    used: { type: 'string', default: '10' },
    repeat: { type: 'string', default: '5' },
    pid: { type: 'string' },
  },
});
const mode = CONFIG_DELIVERIES.find((each) => each === flags.mode);
if (flags.dir === undefined || mode === undefined) {
  console.error(`--dir MESH is needed, and --mode is one of ${CONFIG_DELIVERIES.join(', ')}`);
  process.exit(2);
}
const proxies = Number(flags.proxies);
const { initialSync, summary } = await playOnDemand({
  address: flags.addr,
  dir: flags.dir,
  mode,
  proxies,
  used: Number(flags.used),
  repeat: Number(flags.repeat),
  pid: flags.pid === undefined ? undefined : Number(flags.pid),
});
const { usage } = initialSync;
console.log(
  `${mode}, ${proxies} proxies that use ${flags.used} services: first sync ${initialSync.lastSeconds.toFixed(1)} s, ` +
    `CPU ${usage.serverCPUSeconds.toFixed(2)} s, peak ${usage.serverPeakRSSMiB.toFixed(0)} MiB, ` +
    `${(usage.bytes / proxies / 1000).toFixed(1)} kB a proxy`,
);
for (const { kind, p99Ms, serverCPUSeconds, bytes } of summary) {
  console.log(
    `  ${kind} changed: p99 ${p99Ms.toFixed(0)} ms, CPU ${(serverCPUSeconds * 1000).toFixed(0)} ms, ` +
      `${(bytes / proxies).toFixed(0)} B a proxy`,
  );
}
process.exit(0);
