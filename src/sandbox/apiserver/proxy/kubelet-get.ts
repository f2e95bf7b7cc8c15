// SPDX-License-Identifier: Apache-2.0
import { request as httpsRequest } from 'node:https';
import { type KubeletLocation, type KubeletTls, kubeletTlsOptions } from './kubelet-location.ts';

/** One GET on a kubelet, its answer as text. Rejects when it cannot be reached or says more than `maxBytes`. */
export async function getFromKubelet(
  location: KubeletLocation,
  path: string,
  tls: KubeletTls,
  signal: AbortSignal,
  maxBytes: number,
): Promise<{ statusCode: number; body: string }> {
  const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    const options = { ...kubeletTlsOptions(location, tls), path, agent: false, signal };
    httpsRequest(options, resolve).once('error', reject).end();
  });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += (chunk as Buffer).length;
    if (size > maxBytes) {
      answer.destroy();
      throw new Error(`the kubelet's answer to ${path} has more than ${maxBytes} bytes`);
    }
    chunks.push(chunk as Buffer);
  }
  return { statusCode: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() };
}
