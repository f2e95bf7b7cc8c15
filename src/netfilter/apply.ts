// SPDX-License-Identifier: Apache-2.0
// Puts rules into the network namespace of the calling process.
import { type NetlinkBatch, renderNetlink, renderNetlinkDelete } from './netlink-batch.ts';
import { renderNft, renderNftDelete } from './nft-text.ts';
import { findProgram, run } from './programs.ts';
import { assertValid, type RuleTable } from './rules.ts';

/** `nft` is the program; `netlink` a few lines of Python that send the kernel what nft would. */
export type RuleWriter = 'nft' | 'netlink';

export interface ApplyOptions {
  /** Default: nft where the machine has it, else netlink. */
  readonly via?: RuleWriter;
  /** A network namespace by its path, e.g. `/run/netns/cl1`; entered by nsenter. Default: the calling process's. */
  readonly netns?: string;
}

/**
 * Replaces the table of that name, in one transaction: either all of it holds afterwards, or nothing has changed.
 * Needs CAP_NET_ADMIN in the current network namespace (root of a user namespace will do).
 * @throws Error with the kernel's reason and the rule it refused, or naming the programs of which one is needed.
 */
export async function applyRules(table: RuleTable, options: ApplyOptions = {}): Promise<void> {
  assertValid(table);
  const writer = chooseWriter(options.via);
  const command = [...enter(options.netns), writer.path];
  if (writer.kind === 'nft') await runNft(command, renderNft(table));
  else await sendBatch(command, renderNetlink(table));
}

/** Removes the table; nothing happens when there is none. */
export async function removeRules(tableName: string, options: ApplyOptions = {}): Promise<void> {
  assertValid({ name: tableName, chains: [] });
  const writer = chooseWriter(options.via);
  const command = [...enter(options.netns), writer.path];
  if (writer.kind === 'nft') await runNft(command, renderNftDelete(tableName));
  else await sendBatch(command, renderNetlinkDelete(tableName));
}

function enter(netns: string | undefined): string[] {
  return netns === undefined ? [] : ['nsenter', `--net=${netns}`, '--'];
}

/** The writers that this machine has, the preferred one first. */
export function availableWriters(): { readonly kind: RuleWriter; readonly path: string }[] {
  const nft = findProgram('nft');
  const python = findProgram('python3');
  return [
    ...(nft === undefined ? [] : [{ kind: 'nft' as const, path: nft }]),
    ...(python === undefined ? [] : [{ kind: 'netlink' as const, path: python }]),
  ];
}

function chooseWriter(via: RuleWriter | undefined): { kind: RuleWriter; path: string } {
  const writer = availableWriters().find(({ kind }) => via === undefined || kind === via);
  if (writer) return writer;
  const wanted = via === undefined ? 'neither nft nor python3' : via === 'nft' ? 'no nft' : 'no python3';
  throw new Error(
    `packet rules cannot be written: there is ${wanted} here. Install nftables (or python3) and try again.`,
  );
}

async function runNft(nft: readonly string[], script: string): Promise<void> {
  const { code, stderr } = await run([...nft, '-f', '-'], Buffer.from(script));
  if (code !== 0) throw new Error(`nft refused the rules: ${stderr.trim()}`);
}

/**
 * Sends stdin as one datagram and prints the kernel's errors as `sequence errno` lines. No acknowledgement within two
 * seconds means that the kernel has no nf_tables. argv[1] is the sequence number of the last message to be acknowledged.
 */
const SENDER = `
import os, socket, struct, sys
data, last = sys.stdin.buffer.read(), int(sys.argv[1])
s = socket.socket(16, socket.SOCK_RAW, 12)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(65536, 2 * len(data)))
s.bind((0, 0))
s.settimeout(2)
s.send(data)
failed = done = False
while not done:
    try:
        reply = s.recv(1 << 20)
    except socket.timeout:
        if not failed:
            sys.exit("no answer from the kernel")
        break
    while len(reply) >= 20:
        size, kind, _, sequence, _, error = struct.unpack("=IHHIIi", reply[:20])
        if kind == 2 and error:
            failed = True
            s.settimeout(0.05)
            print(sequence, os.strerror(-error))
        done = done or (kind == 2 and not failed and sequence == last)
        reply = reply[(size + 3) & ~3:]
`;

async function sendBatch(python: readonly string[], batch: NetlinkBatch): Promise<void> {
  const last = batch.steps.at(-1)!;
  const { code, stdout, stderr } = await run([...python, '-I', '-S', '-c', SENDER, String(last.sequence)], batch.bytes);
  if (code !== 0) throw new Error(`packet rules could not be sent to the kernel: ${stderr.trim().split('\n').at(-1)}`);
  const errors = stdout.split('\n').filter((line) => line !== '');
  if (errors.length === 0) return;
  const reasons = errors.map((line) => {
    const [sequence, ...reason] = line.split(' ');
    const step = batch.steps.find((candidate) => String(candidate.sequence) === sequence);
    return `${step?.description ?? 'the whole batch'}: ${reason.join(' ')}`;
  });
  throw new Error(`the kernel refused the packet rules: ${reasons.join('; ')}`);
}
