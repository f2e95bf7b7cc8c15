// SPDX-License-Identifier: Apache-2.0

/** `retryOn`: names of conditions and status codes, by commas; a code asks for the condition that goes by codes, too. */
export function retryConditions(
  retryOn: string | undefined,
  usual: readonly string[],
): { readonly on: readonly string[]; readonly statusCodes: readonly number[] } {
  const conditions = (retryOn ?? '')
    .split(',')
    .map((condition) => condition.trim())
    .filter((condition) => condition !== '');
  if (conditions.length === 0) return { on: usual, statusCodes: [] };
  const isCode = (condition: string) => /^\d{3}$/.test(condition);
  const statusCodes = conditions.filter(isCode).map(Number);
  const named = conditions.filter((condition) => !isCode(condition));
  return { on: [...new Set([...named, ...(statusCodes.length > 0 ? ['retriable-status-codes'] : [])])], statusCodes };
}
