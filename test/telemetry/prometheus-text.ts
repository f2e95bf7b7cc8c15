// SPDX-License-Identifier: Apache-2.0
// A strict reader of Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/y;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

/** @throws Error at the first line that a server would not take */
export function parsePrometheus(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const types = new Map<string, string>();
  const seen = new Set<string>();
  const samples: Sample[] = [];
  let family = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? [];
    if (name !== undefined && type !== undefined) {
      if (types.has(name)) throw new Error(`two types: ${line}`);
      types.set(name, type);
      family = name;
      continue;
    }
    if (line.startsWith('# HELP ')) continue;
    const sample = parseSample(line);
    const suffixes = SUFFIXES[types.get(family) ?? ''] ?? [''];
    if (!suffixes.some((suffix) => sample.name === `${family}${suffix}`)) throw new Error(`no type: ${line}`);
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (seen.has(key)) throw new Error(`twice: ${line}`);
    seen.add(key);
    samples.push(sample);
  }
  return samples;
}

function parseSample(line: string): Sample {
  const [, name = '', , inner = '', number = ''] = /^([^\s{]+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  if (!NAME.test(name) || Number.isNaN(value) || number === '') throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inner.length) {
    const at = LABEL.lastIndex;
    const [, label, text] = LABEL.exec(inner) ?? [];
    if (label === undefined || text === undefined) throw new Error(`no label at ${at} of ${line}`);
    if (label in labels) throw new Error(`label twice: ${line}`);
    labels[label] = text;
  }
  return { name, labels, value };
}
