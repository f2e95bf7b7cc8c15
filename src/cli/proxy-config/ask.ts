// SPDX-License-Identifier: Apache-2.0
// Where a dump comes from: a file, or the admin interface of a proxy, which answers in its own container alone.
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { PROXY_CONTAINER } from '../../injector/proxy-container.ts';
import type { KubeClient } from '../../kube/client.ts';
import { demandAnswer, readTarget } from '../install-target.ts';
import { demandProxy, findPod, readPodName } from '../proxies/proxy-pod.ts';
import { runInPod } from '../proxies/run-in-pod.ts';
import { UserError, unreadable } from '../user-error.ts';
import { type ConfigDump, message, readDump } from './dump.ts';
import { type Ejected, readEjected } from './endpoints.ts';

export interface ProxyRef {
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

/** How Envoy is asked, `path` and all. */
export type Admin = (path: string, method?: 'GET' | 'POST') => Promise<string>;

const NOTHING_EJECTED: Ejected = new Map();

export interface Asked {
  readonly dump: ConfigDump;
  readonly ejected: Ejected;
}

/** @throws UserError when there is no such pod, or it does not answer */
export async function askProxy(pod: string, ref: ProxyRef): Promise<Asked> {
  return withAdmin(pod, ref, async (admin) => {
    const [dump, clusters] = await Promise.all([admin('config_dump?include_eds'), admin('clusters?format=json')]);
    return { dump: readDump(dump, `what ${pod} says`), ejected: readEjected(message(JSON.parse(clusters))) };
  });
}

/** @param file `-`: standard input @throws UserError when it cannot be read, or is no dump */
export async function readDumpFile(file: string): Promise<Asked> {
  let content: string;
  try {
    content = file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
  return { dump: readDump(content, file), ejected: NOTHING_EJECTED };
}

/** Finds the proxy, and has `use` ask it. */
export async function withAdmin<T>(pod: string, ref: ProxyRef, use: (admin: Admin) => Promise<T>): Promise<T> {
  const target = readTarget(ref);
  const name = readPodName(pod, { named: ref.namespace, current: target.namespace });
  try {
    await demandAnswer(target, 'ask again');
    const found = await findPod(target.client, name);
    demandProxy(found);
    const { name: podName = '', namespace = '' } = found.metadata;
    return await use(adminOf(target.client, namespace, podName));
  } catch (error) {
    throw error instanceof UserError ? error : target.explain(error, 'ask again');
  } finally {
    target.close();
  }
}

function adminOf(client: KubeClient, namespace: string, pod: string): Admin {
  return async (path, method = 'GET') => {
    const command = ['isthmus', 'proxy-request', '-X', method, `/${path}`];
    try {
      return await runInPod(client, { namespace, pod, container: PROXY_CONTAINER, command });
    } catch (error) {
      const cure = `who asks needs the right to create pods/exec in ${namespace}, and the proxy must run`;
      throw new UserError(`the proxy of pod ${namespace}/${pod} did not answer: ${(error as Error).message} (${cure})`);
    }
  };
}
