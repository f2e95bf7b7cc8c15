// SPDX-License-Identifier: Apache-2.0
// The causes of a 422, worded as k8s.io/apimachinery's field.Error words them.
import type { StatusCause } from '../status.ts';

export function required(field: string, why = ''): StatusCause {
  return { reason: 'FieldValueRequired', message: why ? `Required value: ${why}` : 'Required value', field };
}

export function invalidValue(field: string, value: unknown, why: string): StatusCause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${shown(value)}: ${why}`, field };
}

export function unsupported(field: string, value: unknown, supported: readonly string[]): StatusCause {
  const list = supported.map((one) => JSON.stringify(one)).join(', ');
  const tail = supported.length > 0 ? `: supported values: ${list}` : '';
  return { reason: 'FieldValueNotSupported', message: `Unsupported value: ${shown(value)}${tail}`, field };
}

export function forbiddenField(field: string, why: string): StatusCause {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${why}`, field };
}

export function duplicate(field: string, value: unknown): StatusCause {
  return { reason: 'FieldValueDuplicate', message: `Duplicate value: ${shown(value)}`, field };
}

export function tooLong(field: string, maxBytes: number): StatusCause {
  return { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxBytes} bytes`, field };
}

export function absentReference(field: string, value: unknown): StatusCause {
  return { reason: 'FieldValueNotFound', message: `Not found: ${shown(value)}`, field };
}

export const IMMUTABLE = 'field is immutable';

function shown(value: unknown): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}
