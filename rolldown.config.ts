// SPDX-License-Identifier: Apache-2.0
// Everything that ships is bundled: importing the generated Envoy types file by file takes 1.7 s, the bundle 0.1 s.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'rolldown';

const images = 'src/sandbox/images/programs';
const programs = (() => {
  try {
    return readdirSync(images).filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));
  } catch {
    return [];
  }
})();

export default defineConfig({
  input: {
    isthmus: 'src/cli/main.ts',
    ...Object.fromEntries(programs.map((f) => [`images/${f.slice(0, -3)}`, `${images}/${f}`])),
  },
  platform: 'node',
  resolve: { alias: { '#gen': fileURLToPath(new URL('gen', import.meta.url)) } },
  output: { dir: 'dist', format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: 'chunks/[name]-[hash].mjs' },
});
