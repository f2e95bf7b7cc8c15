// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../user-error.ts';
import type { DemoDocument } from './document.ts';
import { DOCUMENT_000 } from './documents/000.ts';
import { DOCUMENT_001 } from './documents/001.ts';
import { DOCUMENT_002 } from './documents/002.ts';
import { DOCUMENT_003 } from './documents/003.ts';
import { DOCUMENT_004 } from './documents/004.ts';

/** In the order of their numbers. */
export const DOCUMENTS: readonly DemoDocument[] = [
  DOCUMENT_000,
  DOCUMENT_001,
  DOCUMENT_002,
  DOCUMENT_003,
  DOCUMENT_004,
];

/** `4` and `04` mean 004. @throws UserError with those that exist */
export function findDocument(number: string): DemoDocument {
  const found = DOCUMENTS.find((document) => number !== '' && document.number === number.padStart(3, '0'));
  if (found) return found;
  throw new UserError(`there is no demo "${number}". There are:\n${listDocuments().join('\n')}`, 2);
}

function listDocuments(): string[] {
  return DOCUMENTS.map(({ number, title }) => `  ${number}  ${title}`);
}
