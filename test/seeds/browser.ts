// SPDX-License-Identifier: Apache-2.0
// A real browser at Bookinfo's page.
import { type Browser, chromium, type Page } from 'playwright-core';
import { findProgram } from '../fixture/sandbox.ts';

export function findBrowser(): string | undefined {
  return (
    process.env['CHROMIUM_BIN'] ??
    findProgram('chromium') ??
    findProgram('chromium-browser') ??
    findProgram('google-chrome')
  );
}

export async function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    // It looks for nothing outside of this machine.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** The colours of the stars that the page shows now: [] for none. */
export async function starColours(page: Page): Promise<string[]> {
  await page.waitForSelector('#reviews blockquote');
  const classes = await page
    .locator('#reviews .stars')
    .evaluateAll((elements) => elements.map((e) => e.className.replace('stars ', '')));
  return [...new Set(classes)];
}

/** Reloads until both colours were seen; `tries` reloads of one half each miss one with probability 2^(1-tries). */
export async function reloadUntilBothColours(page: Page, tries: number): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < tries && seen.size < 2; i++) {
    await page.reload();
    for (const colour of await starColours(page)) seen.add(colour);
  }
  return seen;
}
