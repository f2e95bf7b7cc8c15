// SPDX-License-Identifier: Apache-2.0

export interface LiveLine {
  show(text: string): void;
  clear(): void;
}

/** One line of stderr that is written over; nothing where no terminal reads it. */
export function startLiveLine(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr): LiveLine {
  const write = (text: string): void => void (stream.isTTY === true && stream.write(`\r\x1b[K${text}`));
  return { show: write, clear: () => write('') };
}
