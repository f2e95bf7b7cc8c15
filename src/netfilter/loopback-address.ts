// SPDX-License-Identifier: Apache-2.0
import { findProgram, run } from './programs.ts';
import { parseCidr } from './rules.ts';

/** SIOCSIFADDR of linux/sockios.h, with in6_ifreq of linux/ipv6.h; 17 is EEXIST. argv[1] is the address. */
const ADDER = `
import fcntl, socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
request = struct.pack("=16sIi", socket.inet_pton(socket.AF_INET6, sys.argv[1]), 128, socket.if_nametoindex("lo"))
try:
    fcntl.ioctl(s, 0x8916, request)
except OSError as error:
    if error.errno != 17:
        sys.exit(error.strerror)
`;

/**
 * Gives the loopback interface of the current network namespace one IPv6 address more; nothing happens when it has it. Where
 * of IPv4 all of 127.0.0.0/8 is there, of IPv6 it is ::1 alone. Needs CAP_NET_ADMIN.
 * @param via default: `ip` where the machine has it, else `python3`
 * @throws Error with the kernel's reason, or naming the programs of which one is needed
 */
export async function addLoopbackAddress(address: string, via?: 'ip' | 'python3'): Promise<void> {
  if (parseCidr(address).family !== 6) throw new Error(`"${address}" is not an IPv6 address`);
  const ip = via === 'python3' ? undefined : findProgram('ip');
  const python = via === 'ip' ? undefined : findProgram('python3');
  if (ip !== undefined) return execute([ip, '-6', 'address', 'replace', `${address}/128`, 'dev', 'lo'], address);
  if (python !== undefined) return execute([python, '-I', '-S', '-c', ADDER, address], address);
  const cure = 'Install iproute2 (or python3) and try again.';
  throw new Error(
    `${address} cannot be given to the loopback interface: there is neither ip nor python3 here. ${cure}`,
  );
}

async function execute(command: readonly string[], address: string): Promise<void> {
  const { code, stderr } = await run(command, Buffer.alloc(0));
  if (code !== 0) throw new Error(`${address} cannot be given to the loopback interface: ${stderr.trim()}`);
}
