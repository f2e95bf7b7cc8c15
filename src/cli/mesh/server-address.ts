// SPDX-License-Identifier: Apache-2.0

/** An address that leads to whoever asks: of use to nobody in another cluster. */
export function isLoopback(server: string): boolean {
  if (!URL.canParse(server)) return false;
  const host = new URL(server).hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || /^127\./.test(host) || host === '::1' || host === '0.0.0.0';
}
