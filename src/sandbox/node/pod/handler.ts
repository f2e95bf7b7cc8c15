// SPDX-License-Identifier: Apache-2.0
// Does once what a probe or a lifecycle hook asks for.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { captureExec } from '../container/container-exec.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import type { Container, Handler, HttpGetAction } from '../pod-types.ts';
import { checkGrpcHealth } from './grpc-check.ts';

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
    if (handler.grpc) {
      const { port, service = '' } = handler.grpc;
      const problem = await checkGrpcHealth({ host: target.podIp, port, service }, timeoutMs);
      return { succeeded: problem === undefined, message: problem ?? '' };
    }
    return { succeeded: false, message: 'it has neither exec nor httpGet, tcpSocket, grpc or sleep' };
  } catch (error) {
    return { succeeded: false, message: (error as Error).message };
  }
}

async function runExec(command: readonly string[], target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const result = await captureExec(target.runtime, target.running, command, timeoutMs);
  if (!result) {
    return {
      succeeded: false,
      message: `command timed out: "${command.join(' ')}" timed out after ${timeoutMs / 1000}s`,
    };
  }
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
    const timer = setTimeout(() => request.destroy(new Error(TIMED_OUT)), timeoutMs);
    request.on('close', () => clearTimeout(timer));
    request.on('error', (error) => {
      const url = `${isHttps ? 'https' : 'http'}://${options.host}:${port}${options.path}`;
      resolve({ succeeded: false, message: `Get "${url}": ${dialProblem(error, options.host, port)}` });
    });
    request.end();
  });
}

function dial(host: string, port: number, timeoutMs: number): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })), timeoutMs);
    socket.once('connect', () => {
      socket.destroy();
      resolve({ succeeded: true, message: '' });
    });
    socket.once('error', (error) => resolve({ succeeded: false, message: dialProblem(error, host, port) }));
    socket.once('close', () => clearTimeout(timer));
  });
}

const TIMED_OUT = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';

/** In the kubelet's words, which people search for. */
function dialProblem(error: NodeJS.ErrnoException, host: string, port: number): string {
  const known: Record<string, string> = {
    ECONNREFUSED: 'connect: connection refused',
    EHOSTUNREACH: 'connect: no route to host',
    ETIMEDOUT: 'i/o timeout',
  };
  const reason = known[error.code ?? ''];
  if (reason !== undefined) return `dial tcp ${host}:${port}: ${reason}`;
  if (error.code === 'ECONNRESET') return error.message === 'socket hang up' ? 'EOF' : 'read: connection reset by peer';
  return error.message;
}

function resolvePort(port: number | string, container: Container): number {
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65535) {
    throw new Error(`couldn't find port: "${port}" in container "${container.name}"`);
  }
  return number;
}
