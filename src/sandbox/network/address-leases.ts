// SPDX-License-Identifier: Apache-2.0
// Pod addresses: leased per pod UID, kept in a file so that a restarted node gives nobody the address of a living pod.
import { readFileSync } from 'node:fs';
import { writeAtomically } from '../atomic-file.ts';

interface LeaseFile {
  /** Offset into the pod network of the address given last: the next search starts behind it, so that addresses rest. */
  last: number;
  /** Pod UID -> offset. */
  leases: Record<string, number>;
}

/** .1 is the gateway; the first few stay free for people who look around with `ip addr`. */
const FIRST_OFFSET = 10;
const LAST_OFFSET = 0xff_fe;

export class AddressLeases {
  readonly #file: string;
  readonly #networkPrefix: string;
  readonly #state: LeaseFile;

  /** @param podCidr a /16, e.g. `10.1.0.0/16`. */
  constructor(file: string, podCidr: string) {
    const match = /^(\d+\.\d+)\.0\.0\/16$/.exec(podCidr);
    if (!match) throw new Error(`pod network ${podCidr} is not a /16`);
    this.#file = file;
    this.#networkPrefix = match[1]!;
    this.#state = readLeases(file);
  }

  podUids(): string[] {
    return Object.keys(this.#state.leases);
  }

  /** The pod's address: the one it has, or the next free one. Written to disk before it is returned. */
  acquire(podUid: string): string {
    const known = this.#state.leases[podUid];
    if (known !== undefined) return this.#address(known);
    const taken = new Set(Object.values(this.#state.leases));
    let offset = this.#state.last;
    for (let tries = FIRST_OFFSET; tries <= LAST_OFFSET; tries++) {
      offset = offset >= LAST_OFFSET ? FIRST_OFFSET : offset + 1;
      const lowByte = offset & 0xff;
      if (lowByte === 0 || lowByte === 0xff || taken.has(offset)) continue;
      this.#state.leases[podUid] = offset;
      this.#state.last = offset;
      this.#save();
      return this.#address(offset);
    }
    throw new Error(`every address of the pod network ${this.#networkPrefix}.0.0/16 is leased`);
  }

  release(podUid: string): void {
    if (!(podUid in this.#state.leases)) return;
    delete this.#state.leases[podUid];
    this.#save();
  }

  #address(offset: number): string {
    return `${this.#networkPrefix}.${offset >> 8}.${offset & 0xff}`;
  }

  #save(): void {
    writeAtomically(this.#file, JSON.stringify(this.#state));
  }
}

function readLeases(file: string): LeaseFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { last: FIRST_OFFSET - 1, leases: {} };
    throw error;
  }
  const parsed = JSON.parse(text) as Partial<LeaseFile>;
  return { last: parsed.last ?? FIRST_OFFSET - 1, leases: parsed.leases ?? {} };
}
