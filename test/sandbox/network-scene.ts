// SPDX-License-Identifier: Apache-2.0
// Run as the first process of new namespaces: builds two clusters' networks with a pod or two each, tries who reaches
// whom, and prints what happened as JSON.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { planCluster } from '../../src/sandbox/network/addresses.ts';
import { runCommand, runScript } from '../../src/sandbox/network/command.ts';
import { buildNetwork } from '../../src/sandbox/network/host-network.ts';
import { createPodNetwork } from '../../src/sandbox/network/pod-network.ts';

const dir = process.argv[2]!;
if (process.argv[3] === 'attach') {
  await attach(Number(process.argv[4]), process.argv.slice(5));
  process.exit(0);
}

/** In a cluster's router namespace: what a node does. */
async function attach(index: number, uids: string[]): Promise<void> {
  const network = createPodNetwork({ cluster: planCluster(index), leaseFile: join(dir, `leases-${index}`) });
  const startedAt = performance.now();
  const pods = await Promise.all(uids.map((uid) => network.attach(uid)));
  const elapsedMs = performance.now() - startedAt;
  const again = await network.attach(uids[0]!);
  const restarted = createPodNetwork({ cluster: planCluster(index), leaseFile: join(dir, `leases-${index}`) });
  const afterRestart = await restarted.attach(uids[0]!);
  const recovered = await restarted.recover();
  await network.attach('short-lived');
  await network.detach('short-lived');
  await network.detach('short-lived');
  await network.detach('never-there');
  process.stdout.write(
    JSON.stringify({
      pods,
      elapsedMs,
      again,
      afterRestart,
      recovered,
      gone: !existsSync(`/run/netns/pod${index}-short-lived`),
    }),
  );
}

const inNetns = (netns: string) => ['nsenter', `--net=/run/netns/${netns}`, '--'];

/** A TCP listener that answers with who it saw; ends with the namespaces. */
function listen(netns: string, host: string, port: number): Promise<void> {
  const program = `
import socket, os
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((${JSON.stringify(host)}, ${port})); s.listen(16)
if os.fork(): os._exit(0)
os.setsid(); os.close(0); os.close(1); os.close(2)
while True:
    c, peer = s.accept(); c.sendall(peer[0].encode()); c.close()
`;
  return runCommand(inNetns(netns)[0]!, [...inNetns(netns).slice(1), 'python3', '-c', program]).then(() => {});
}

/** The address that the other end saw, or the error. `source` binds to an address that may be a lie. */
function dial(netns: string, host: string, port: number): string {
  const program = `
import socket
try:
    s = socket.create_connection((${JSON.stringify(host)}, ${port}), 1); print(s.recv(100).decode())
except OSError as e:
    print(e.strerror or 'timed out')
`;
  const [command, ...args] = [...inNetns(netns), 'python3', '-c', program];
  return spawnSync(command!, args, { encoding: 'utf8' }).stdout.trim();
}

const one = planCluster(1);
const two = planCluster(2);
await runScript('mount --make-rprivate /; mount -t tmpfs tmpfs /run; mkdir /run/netns');
const startedAt = performance.now();
await buildNetwork([one, two]);
const networkMs = performance.now() - startedAt;
const attachIn = async (index: number, ...uids: string[]) =>
  JSON.parse(
    await runCommand('nsenter', [
      `--net=/run/netns/cl${index}`,
      '--',
      process.execPath,
      import.meta.filename,
      dir,
      'attach',
      `${index}`,
      ...uids,
    ]),
  ) as { pods: { ip: string; netns: string }[] };
const first = await attachIn(1, 'uid-a', 'uid-b');
const second = await attachIn(2, 'uid-c');
const [a, b] = first.pods as [{ ip: string; netns: string }, { ip: string; netns: string }];
const [c] = second.pods as [{ ip: string; netns: string }];
const balancer = two.loadBalancerAddresses[0]!;
await listen(b.netns, '0.0.0.0', 80);
await listen(c.netns, '0.0.0.0', 80);
await listen('cl1', '10.96.0.7', 80);
await listen('cl2', '10.96.0.8', 80);
await listen('cl2', balancer, 80);
await listen('cl2', two.nodeAddress, 6443);

// Everything that a hostile neighbour could set up on the external network, short of being the router.
await runScript(`ip route add 10.2.0.0/16 via ${two.nodeAddress}; ip route add 10.96.0.0/16 via ${two.nodeAddress}`);

process.stdout.write(
  JSON.stringify({
    networkMs,
    first,
    second,
    reach: {
      'pod to pod': dial(a.netns, b.ip, 80),
      'pod to own service address': dial(a.netns, '10.96.0.7', 80),
      'pod to the load balancer of the other cluster': dial(a.netns, balancer, 80),
      'pod to the API server of the other cluster': dial(a.netns, two.nodeAddress, 6443),
      'first namespace to a load balancer': spawnSync(
        'python3',
        ['-c', `import socket; print(socket.create_connection(('${balancer}', 80), 1).recv(99).decode())`],
        { encoding: 'utf8' },
      ).stdout.trim(),
      'pod to a pod of the other cluster': dial(a.netns, c.ip, 80),
      'pod to a service of the other cluster': dial(a.netns, '10.96.0.8', 80),
      'router to a pod of the other cluster': dial('cl1', c.ip, 80),
      'external network into a pod': spawnSync('python3', [
        '-c',
        `import socket; socket.create_connection(('${c.ip}', 80), 1)`,
      ]).status,
      'external network to a service address': spawnSync('python3', [
        '-c',
        `import socket; socket.create_connection(('10.96.0.8', 80), 1)`,
      ]).status,
      'pod to nowhere': dial(a.netns, '192.0.2.1', 80),
    },
  }),
);
