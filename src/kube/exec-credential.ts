// SPDX-License-Identifier: Apache-2.0
// Kubeconfig users that run a program for their token, as cloud providers' do.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

export interface ExecPlugin {
  apiVersion?: string;
  command: string;
  args?: string[] | null;
  env?: { name: string; value: string }[] | null;
  installHint?: string;
}

interface ExecCredential {
  status?: { token?: string; expirationTimestamp?: string; clientCertificateData?: string };
}

/** A token this close to its end is fetched anew. */
const RENEW_BEFORE_MS = 10_000;
const TIMEOUT_MS = 60_000;

/**
 * A function that gives the plugin's token, kept until it expires. The program may ask on the terminal, so it blocks.
 * @param directory what a command with a slash is relative to
 * @param at names file, context and user in errors
 */
export function execToken(plugin: ExecPlugin, directory: string, at: string): () => string {
  let token: string | undefined;
  let expiresAtMs = 0;
  return () => {
    if (token !== undefined && Date.now() < expiresAtMs - RENEW_BEFORE_MS) return token;
    const { status } = run(plugin, directory, at);
    if (status?.token === undefined) {
      const what = status?.clientCertificateData ? 'a client certificate, which is not supported' : 'no token';
      throw new Error(`${at}: exec ${plugin.command} gave ${what}`);
    }
    token = status.token;
    expiresAtMs = status.expirationTimestamp ? Date.parse(status.expirationTimestamp) : Number.POSITIVE_INFINITY;
    return token;
  };
}

function run(plugin: ExecPlugin, directory: string, at: string): ExecCredential {
  const { command, args, env, apiVersion = 'client.authentication.k8s.io/v1', installHint } = plugin;
  const info = { apiVersion, kind: 'ExecCredential', spec: { interactive: process.stdin.isTTY === true } };
  const result = spawnSync(command.includes('/') ? resolve(directory, command) : command, args ?? [], {
    env: {
      ...process.env,
      ...Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify(info),
    },
    stdio: [process.stdin.isTTY ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  const hint = installHint ? ` (${installHint.trim()})` : '';
  if (result.error) throw new Error(`${at}: exec ${command}: ${result.error.message}${hint}`, { cause: result.error });
  if (result.status !== 0) throw new Error(`${at}: exec ${command} failed: ${result.stderr.trim()}${hint}`);
  try {
    return JSON.parse(result.stdout) as ExecCredential;
  } catch (cause) {
    throw new Error(`${at}: exec ${command} did not print an ExecCredential`, { cause });
  }
}
