// SPDX-License-Identifier: Apache-2.0
// resource.Quantity: exact decimal arithmetic on BigInt, in thousandths of a millionth (nano), as far as the API needs it.

const BINARY: readonly (readonly [string, bigint])[] = [
  ['Ei', 1n << 60n],
  ['Pi', 1n << 50n],
  ['Ti', 1n << 40n],
  ['Gi', 1n << 30n],
  ['Mi', 1n << 20n],
  ['Ki', 1n << 10n],
];
const NANO = 1_000_000_000n;
/** Suffix -> power of ten. */
const DECIMAL: readonly (readonly [string, number])[] = [
  ['E', 18],
  ['P', 15],
  ['T', 12],
  ['G', 9],
  ['M', 6],
  ['k', 3],
  ['', 0],
  ['m', -3],
  ['u', -6],
  ['n', -9],
];
const FORM = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?\d+)$/;

interface Quantity {
  readonly nano: bigint;
  readonly format: 'binary' | 'decimal' | 'exponent';
}

function parse(text: string): Quantity | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [, sign, digits, suffix] = match as unknown as [string, string, string, string];
  const [whole = '', fraction = ''] = digits.split('.');
  // Below a nano is rounded up, as the real type does.
  const kept = fraction.slice(0, 27).padEnd(27, '0');
  let scaled = BigInt(whole || '0') * 10n ** 27n + BigInt(kept);
  const binary = BINARY.find(([name]) => name === suffix);
  let format: Quantity['format'] = 'decimal';
  if (binary) {
    scaled *= binary[1];
    format = 'binary';
  } else {
    const exponential = /^[eE]([+-]?\d+)$/.exec(suffix);
    const power = exponential ? Number(exponential[1]) : DECIMAL.find(([name]) => name === suffix)![1];
    if (Math.abs(power) > 30) return undefined;
    scaled = power >= 0 ? scaled * 10n ** BigInt(power) : ceilDivide(scaled, 10n ** BigInt(-power));
    if (exponential) format = 'exponent';
  }
  const nano = ceilDivide(scaled, 10n ** 18n);
  return { nano: sign === '-' ? -nano : nano, format };
}

function ceilDivide(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by;
}

/** "1000m" -> "1", "0.5" -> "500m", "1024Mi" -> "1Gi"; undefined when it is no quantity. */
export function canonicalQuantity(text: string): string | undefined {
  const quantity = parse(text);
  return quantity && format(quantity);
}

/** The sum in canonical form, written as the first that is not zero is written; what is no quantity counts nothing. */
export function sumQuantities(texts: readonly string[]): string {
  const parts = texts.map(parse).filter((one) => one !== undefined);
  const first = parts.find(({ nano }) => nano !== 0n);
  const nano = parts.reduce((sum, one) => sum + one.nano, 0n);
  return format({ nano, format: first?.format ?? 'decimal' }) ?? '0';
}

function format({ nano, format }: Quantity): string | undefined {
  if (nano === 0n) return '0';
  if (format === 'binary' && nano % NANO === 0n && (nano > 1023n * NANO || nano < -1023n * NANO)) {
    const value = nano / NANO;
    for (const [suffix, unit] of BINARY) if (value % unit === 0n) return `${value / unit}${suffix}`;
    return String(value);
  }
  for (const [suffix, power] of DECIMAL) {
    const unit = 10n ** BigInt(power + 9);
    if (nano % unit !== 0n) continue;
    if (format === 'exponent' && power > 0) return `${nano / unit}e${power}`;
    return `${nano / unit}${suffix}`;
  }
  return undefined;
}

/** The value in billionths; undefined when it is no quantity. */
export function quantityNano(text: string): bigint | undefined {
  return parse(text)?.nano;
}
