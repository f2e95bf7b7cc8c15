// SPDX-License-Identifier: Apache-2.0
// The cluster that a command speaks to, and what its refusals mean to the user.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse } from 'yaml';
import { KubeClient, KubeError } from '../kube/client.ts';
import { loadKubeconfig } from '../kube/config.ts';
import { findContext, readContexts } from './find-context.ts';
import { UserError } from './user-error.ts';

export interface InstallTarget {
  readonly client: KubeClient;
  readonly contextName: string;
  /** The one that the context names, or `default`. */
  readonly namespace: string;
  /** What the API server's certificate is checked against. */
  readonly caPem: string | undefined;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;
  /** An error as the user should read it, with what to do. */
  explain(error: unknown, next: string): Error;
  close(): void;
}

/** @throws UserError when there is no such kubeconfig or context */
export function readTarget(flags: { context?: string; kubeconfig?: string }): InstallTarget {
  if (flags.context !== undefined) findContext(flags.context, readContexts(flags.kubeconfig));
  const contextName = flags.context ?? currentContext(flags.kubeconfig);
  let client: KubeClient;
  let namespace: string;
  let caPem: string | undefined;
  try {
    const config = loadKubeconfig(flags.kubeconfig, contextName);
    namespace = config.namespace ?? 'default';
    caPem = config.caPem;
    client = new KubeClient(config);
  } catch (error) {
    throw new UserError(`${(error as Error).message}. Name another with --context or --kubeconfig.`);
  }
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort();
  process.once('SIGINT', onInterrupt);
  return {
    client,
    contextName,
    namespace,
    caPem,
    signal: interrupted.signal,
    explain: (error, next) =>
      interrupted.signal.aborted ? new UserError('interrupted') : explainClusterError(error, client.server, next),
    close: () => {
      process.removeListener('SIGINT', onInterrupt);
      client.close();
    },
  };
}

const ANSWER_MS = 10_000;

/**
 * One that takes connections and says nothing would hold up what is to be told of the others for minutes.
 * @throws UserError that ends with `next`
 */
export async function demandAnswer({ client }: InstallTarget, next: string, answerMs = ANSWER_MS): Promise<void> {
  const signal = AbortSignal.timeout(answerMs);
  try {
    await client.request('GET', '/version', { signal });
  } catch {
    // Whatever else it says to this, what is read of it afterwards says better.
    if (!signal.aborted) return;
    const where = `${client.server} takes the connection and has not answered for ${answerMs / 1000} s`;
    throw new UserError(`${where}: see whether its process hangs or is out of memory, then ${next}`);
  }
}

/** The context's name is the cluster's name in the mesh, so it is asked for even where the file has a current one. */
function currentContext(kubeconfig: string | undefined): string {
  const listed = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const fallback = listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')];
  const files = kubeconfig === undefined ? fallback : [kubeconfig];
  for (const file of files) {
    try {
      const name = (parse(readFileSync(file, 'utf8')) as { 'current-context'?: unknown } | null)?.['current-context'];
      if (typeof name === 'string' && name !== '') return name;
    } catch {
      // Named or broken: loadKubeconfig says which of the two.
    }
  }
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length === files.length) {
    throw new UserError(
      `there is no kubeconfig ${missing.join(', ')}: name one with --kubeconfig, or in KUBECONFIG`,
      2,
    );
  }
  throw new UserError(`${files.join(', ')}: no context is current; name the cluster with --context`, 2);
}

/** An error of a cluster as the user should read it; `next` is what to do once it is mended. */
export function explainClusterError(error: unknown, server: string, next: string): Error {
  if (!(error instanceof Error)) return new UserError(String(error));
  if (error instanceof KubeError) {
    if (error.code === 401)
      return new UserError(`${server} does not know this user: ${error.message}. Check the kubeconfig's credentials.`);
    if (error.code === 403) return new UserError(`${error.message}. Use a user with the role cluster-admin; ${next}.`);
    return new UserError(`${server} refused: ${error.message}. When that is mended, ${next}.`);
  }
  if (isUnreachable(error)) {
    return new UserError(
      `${server} cannot be reached: ${error.message}. Is the cluster up, and is the address right? Then ${next}.`,
    );
  }
  return error.name === 'Error' ? new UserError(`${error.message}. Then ${next}.`) : error;
}

/** The client's own words say what it was doing; what stopped it stands behind them. */
function isUnreachable(error: Error): boolean {
  return error.cause instanceof Error;
}
