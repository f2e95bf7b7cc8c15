// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import type { SecurityInputs } from '../seams.ts';
import { SECRETS, SERVICE_ACCOUNTS, type TokenService } from './token-service.ts';

const TYPE = 'kubernetes.io/service-account-token';
const ACCOUNT_NAME = 'kubernetes.io/service-account.name';
const ACCOUNT_UID = 'kubernetes.io/service-account.uid';

interface Secret extends KubeObject {
  type?: string;
  data?: Record<string, string>;
}

/**
 * Fills Secrets of type kubernetes.io/service-account-token with token, ca.crt and namespace, shortly after they or
 * their service account were created. Elsewhere a controller does this; here the key never leaves the API server.
 */
export function startLegacyTokenFiller(
  { objects, log, signal }: Pick<SecurityInputs, 'objects' | 'log' | 'signal'>,
  tokens: TokenService,
  caPem: string,
): void {
  const pending = new Set<string>();
  let scheduled = false;
  // Written in a later turn: a watcher is called inside the write that it hears of.
  const schedule = (namespace = '', name = '') => {
    pending.add(`${namespace}/${name}`);
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      const keys = [...pending];
      pending.clear();
      for (const key of keys) if (!signal.aborted) fill(key);
    });
  };
  const fill = (key: string) => {
    const [namespace = '', name = ''] = key.split('/');
    const secret = objects.get(SECRETS, namespace, name) as Secret | undefined;
    const filled = secret && filledSecret(secret);
    if (!filled) return;
    try {
      objects.update(SECRETS, filled);
    } catch (error) {
      log('warn', 'could not fill a service account token secret', { namespace, name, error: String(error) });
    }
  };
  const filledSecret = (secret: Secret): Secret | undefined => {
    const { namespace = '', name = '', annotations = {} } = secret.metadata;
    if (secret.type !== TYPE || secret.data?.token || secret.metadata.deletionTimestamp) return undefined;
    const account = objects.get(SERVICE_ACCOUNTS, namespace, annotations[ACCOUNT_NAME] ?? '');
    const uid = account?.metadata.uid;
    if (!account || !uid || (annotations[ACCOUNT_UID] && annotations[ACCOUNT_UID] !== uid)) return undefined;
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    return {
      ...secret,
      metadata: { ...secret.metadata, annotations: { ...annotations, [ACCOUNT_UID]: uid } },
      data: {
        ...secret.data,
        'ca.crt': base64(caPem),
        namespace: base64(namespace),
        token: base64(tokens.issueLegacy(account, name)),
      },
    };
  };
  const scheduleIfToken = (secret: Secret) => {
    if (secret.type === TYPE) schedule(secret.metadata.namespace, secret.metadata.name);
  };
  const stops = [
    objects.watch(SECRETS, ({ type, object }) => {
      if (type !== 'DELETED') scheduleIfToken(object as Secret);
    }),
    objects.watch(SERVICE_ACCOUNTS, ({ type, object }) => {
      if (type === 'ADDED')
        for (const secret of objects.list(SECRETS, object.metadata.namespace)) scheduleIfToken(secret as Secret);
    }),
  ];
  const stop = () => {
    for (const end of stops) end();
  };
  signal.addEventListener('abort', stop, { once: true });
  for (const secret of objects.list(SECRETS)) scheduleIfToken(secret as Secret);
}
