// SPDX-License-Identifier: Apache-2.0
// Does once what a probe or a lifecycle hook asks for.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { captureExec } from '../container/container-exec.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import type { Container, Handler, HttpGetAction } from '../pod-types.ts';

export interface HandlerTarget {
  readonly runtime: ContainerRuntime;
  readonly running: RunningContainer;
  readonly container: Container;
  readonly podIp: string;
}

export interface HandlerResult {
  readonly succeeded: boolean;
  /** What the kubelet's event says after "Readiness probe failed: ". */
  readonly message: string;
}

/** Never rejects: what goes wrong is the result. */
export async function runHandler(handler: Handler, target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  try {
    if (handler.exec) return await runExec(handler.exec.command ?? [], target, timeoutMs);
    if (handler.httpGet) return await runHttpGet(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket) {
      const port = resolvePort(handler.tcpSocket.port, target.container);
      return await dial(handler.tcpSocket.host ?? target.podIp, port, timeoutMs);
    }
    if (handler.sleep) {
      const { seconds } = handler.sleep;
      await new Promise((resolve) => setTimeout(resolve, Math.min(timeoutMs, seconds * 1000)));
      return { succeeded: true, message: '' };
    }
    return { succeeded: false, message: 'the probe has no exec, httpGet or tcpSocket (grpc is not supported here)' };
  } catch (error) {
    return { succeeded: false, message: (error as Error).message };
  }
}

async function runExec(command: readonly string[], target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const result = await captureExec(target.runtime, target.running, command, timeoutMs);
  if (!result) return { succeeded: false, message: `command timed out: "${command.join(' ')}" after ${timeoutMs} ms` };
  return { succeeded: result.exitCode === 0, message: result.output };
}

function runHttpGet(action: HttpGetAction, target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const port = resolvePort(action.port, target.container);
  const isHttps = action.scheme?.toUpperCase() === 'HTTPS';
  const path = action.path ?? '/';
  const headers: Record<string, string> = { 'User-Agent': 'kube-probe/1.32', Accept: '*/*', Connection: 'close' };
  for (const { name, value } of action.httpHeaders ?? []) headers[name] = value;
  const options = {
    host: action.host ?? target.podIp,
    port,
    path: path.startsWith('/') ? path : `/${path}`,
    headers,
    agent: false as const,
    timeout: timeoutMs,
    // The kubelet does not verify either: the certificate names the service, not the pod.
    rejectUnauthorized: false,
  };
  return new Promise((resolve) => {
    const answer = (response: IncomingMessage) => {
      const code = response.statusCode ?? 0;
      response.resume();
      resolve({
        succeeded: code >= 200 && code < 400,
        message: `HTTP probe failed with statuscode: ${code}`,
      });
    };
    const request = isHttps ? httpsRequest(options, answer) : httpRequest(options, answer);
    // `timeout` is about silence; this one is about the whole.
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.on('close', () => clearTimeout(timer));
    request.on('error', (error) => {
      const url = `${isHttps ? 'https' : 'http'}://${options.host}:${port}${options.path}`;
      resolve({ succeeded: false, message: `Get "${url}": ${error.message}` });
    });
    request.end();
  });
}

function dial(host: string, port: number, timeoutMs: number): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => socket.destroy(new Error('i/o timeout')), timeoutMs);
    socket.once('connect', () => {
      socket.destroy();
      resolve({ succeeded: true, message: '' });
    });
    socket.once('error', (error) =>
      resolve({ succeeded: false, message: `dial tcp ${host}:${port}: ${error.message}` }),
    );
    socket.once('close', () => clearTimeout(timer));
  });
}

function resolvePort(port: number | string, container: Container): number {
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65535) {
    throw new Error(`couldn't find port: "${port}" in container "${container.name}"`);
  }
  return number;
}
