// SPDX-License-Identifier: Apache-2.0
// The contexts of the kubeconfig, and the one that a flag or a file names.
import { closestName } from '../api/closest-name.ts';
import { type KubeContext, listContexts } from '../kube/config.ts';
import { UserError } from './user-error.ts';

/** @throws UserError where no kubeconfig can be read */
export function readContexts(kubeconfig: string | undefined): KubeContext[] {
  try {
    return listContexts(kubeconfig);
  } catch (error) {
    throw new UserError(`${(error as Error).message}: name another with --kubeconfig, or in KUBECONFIG`, 2);
  }
}

/** @throws UserError that lists the contexts there are */
export function findContext(name: string, all: readonly KubeContext[], where = ''): KubeContext {
  const found = all.find((context) => context.name === name);
  if (found !== undefined) return found;
  const names = all.map((context) => context.name);
  const close = closestName(name, names);
  const hint = close === undefined ? '' : `did you mean ${close}? `;
  throw new UserError(
    `${where}there is no context ${name}: ${hint}${hint === '' ? 'the' : 'The'} kubeconfig has ${names.join(', ') || 'none'}`,
    2,
  );
}
