// SPDX-License-Identifier: Apache-2.0
// Expressions (CEL) over Envoy's attributes of a request or connection:
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
import { parse } from '@marcbachmann/cel-js';
import { type Shape, text, turned } from './shape.ts';

/** What Envoy would refuse, with all of a listener, is refused here: text that is no expression. */
export const expression: Shape<string> = turned(text({ max: 2_048 }), (raw, at) => {
  const fault = faultOf(raw);
  if (fault === undefined) return raw;
  at.report.add('ISM0006', at.field, fault, 'write a CEL expression, such as response.code >= 500');
  return undefined;
});

function faultOf(raw: string): string | undefined {
  // It becomes %CEL(...)%.
  if (raw.includes('%')) return 'it has a %, which ends a format command';
  try {
    parse(raw);
    return undefined;
  } catch (error) {
    return `it is no CEL expression: ${(error as Error).message.split('\n')[0]}`;
  }
}
