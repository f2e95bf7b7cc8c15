// SPDX-License-Identifier: Apache-2.0
// Expressions (CEL) over Envoy's attributes of a request or connection:
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
import { type ASTNode, parse } from '@marcbachmann/cel-js';
import { type At, type Shape, text, turned } from './shape.ts';

/** Functions of stock Envoy's expressions: strings are neither converted nor taken apart in them, and nothing is looped over. */
const FUNCTIONS: ReadonlySet<string> = new Set([
  ...['has', 'size', 'contains', 'startsWith', 'endsWith', 'matches', 'extract', 'capture'],
  ...['bool', 'bytes', 'double', 'duration', 'dyn', 'int', 'timestamp', 'type', 'uint'],
  ...['getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear'],
  ...['getHours', 'getMinutes', 'getSeconds', 'getMilliseconds'],
]);

/** What Envoy would refuse, with all of a listener, is refused here. */
export const expression: Shape<string> = turned(text({ max: 2_048 }), readExpression);

/** Its value is shown as text, so that the `string(...)` which Istio asks for says nothing more. */
export const textExpression: Shape<string> = turned(text({ max: 2_048 }), (raw, at) => {
  const [, inner] = /^string\((.*)\)$/s.exec(raw.trim()) ?? [];
  return readExpression(inner !== undefined && faultOf(inner) === undefined ? inner : raw, at);
});

function readExpression(raw: string, at: At): string | undefined {
  const fault = faultOf(raw);
  if (fault === undefined) return raw;
  at.report.add('ISM0006', at.field, fault, 'write a CEL expression, such as response.code >= 500');
  return undefined;
}

function faultOf(raw: string): string | undefined {
  // It becomes %CEL(...)%.
  if (raw.includes('%')) return 'it has a %, which ends a format command';
  try {
    return faultOfNode(parse(raw).ast);
  } catch (error) {
    return `it is no CEL expression: ${(error as Error).message.split('\n')[0]}`;
  }
}

function faultOfNode({ op, args }: ASTNode): string | undefined {
  if (op === 'call' || op === 'rcall') {
    const [name] = args;
    if (!FUNCTIONS.has(name)) return `Envoy’s expressions have no function ${name}()`;
    if (op === 'call' && name === 'has' && args[1][0]?.op !== '.') {
      return 'has() asks for a member, as in has(request.headers); "x-user" in request.headers asks for a name';
    }
  }
  for (const node of nodesIn(args)) {
    const fault = faultOfNode(node);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function nodesIn(value: unknown): ASTNode[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  return typeof value === 'object' && value !== null && 'op' in value ? [value as ASTNode] : [];
}
