// SPDX-License-Identifier: Apache-2.0
// The definitions (CRDs) as files for `kubectl apply -f`, one for each API group. `make golden` writes them.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { buildCrds } from '../src/api/crds.ts';
import { withManagedLabels } from '../src/install/manifest.ts';

export const DEFINITIONS = join(
  fileURLToPath(new URL('..', import.meta.url)),
  'install/kubernetes/helm/istio-init/files',
);

/** File name -> text. */
export function definitionFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const crd of buildCrds().map(withManagedLabels)) {
    const { group } = crd['spec'] as { group: string };
    const file = `crd-${group.split('.')[0]}.yaml`;
    const head = files.get(file) ?? '# Written by `make golden` from src/api/; not to be edited.\n';
    files.set(file, `${head}---\n${stringify(crd, { aliasDuplicateObjects: false })}`);
  }
  return files;
}
