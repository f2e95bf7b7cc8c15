// SPDX-License-Identifier: Apache-2.0
// Envoy's admin interface, which is a socket in the proxy's own container: nobody else can reach it.
import { request } from 'node:http';

export const ADMIN_PIPE = '/tmp/envoy-admin.sock';
const ADMIN_TIMEOUT_MS = 5_000;

/** @throws Error when it does not answer, or refuses */
export function askAdmin(socketPath: string, method: 'GET' | 'POST', path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, timeout: ADMIN_TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`Envoy answers ${method} ${path} with ${response.statusCode}: ${body.trim()}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`Envoy does not answer on ${socketPath}`)));
    asked.on('error', reject);
    asked.end();
  });
}
