// SPDX-License-Identifier: Apache-2.0
// Every refusal of the API server is an ApiError, which carries the exact metav1.Status that the client gets.
// Reasons, codes and messages follow k8s.io/apimachinery's api/errors (see the recordings).
import type { Status } from '../../kube/types.ts';
import { StorageFailure } from './storage/store.ts';

export interface StatusCause {
  reason: string;
  message: string;
  field?: string;
}

/** `group` is '' for the core group; `resource` is plural ("pods"). */
export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

export class ApiError extends Error {
  readonly status: Status;
  readonly code: number;
  /** Extra response headers, e.g. Retry-After. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: number,
    reason: string | undefined,
    message: string,
    details?: Status['details'],
    headers: Record<string, string> = {},
  ) {
    super(message);
    this.code = code;
    this.headers = headers;
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason ? { reason } : {}),
      ...(details ? { details } : {}),
      code,
    };
  }

  get reason(): string | undefined {
    return this.status.reason;
  }
}

/** "pods" or "deployments.apps", as messages name a resource. */
export function qualifiedResource(type: GroupResource): string {
  return type.group ? `${type.resource}.${type.group}` : type.resource;
}

/** details.name / group / kind, where `kind` holds the *resource*, as the real server does for most errors. */
function resourceDetails(type: GroupResource, name: string): NonNullable<Status['details']> {
  return { ...(name ? { name } : {}), ...(type.group ? { group: type.group } : {}), kind: type.resource };
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function unauthorized(message = 'Unauthorized'): ApiError {
  return new ApiError(401, 'Unauthorized', message);
}

export function forbidden(type: GroupResource, name: string, why: string): ApiError {
  const subject = type.resource ? `${qualifiedResource(type)} ${JSON.stringify(name)} is forbidden` : 'forbidden';
  return new ApiError(403, 'Forbidden', `${subject}: ${why}`, resourceDetails(type, name));
}

export function notFound(type: GroupResource, name: string): ApiError {
  const message = `${qualifiedResource(type)} ${JSON.stringify(name)} not found`;
  return new ApiError(404, 'NotFound', message, resourceDetails(type, name));
}

/** No such path, group, version, resource or subresource. */
export function noSuchResource(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function methodNotAllowed(): ApiError {
  return new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
}

export function alreadyExists(type: GroupResource, name: string): ApiError {
  const message = `${qualifiedResource(type)} ${JSON.stringify(name)} already exists`;
  return new ApiError(409, 'AlreadyExists', message, resourceDetails(type, name));
}

export function conflict(type: GroupResource, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedResource(type)} ${JSON.stringify(name)}: ${why}`;
  return new ApiError(409, 'Conflict', message, resourceDetails(type, name));
}

/** Somebody else wrote the object between the caller's read and its write. */
export function modified(type: GroupResource, name: string): ApiError {
  return conflict(
    type,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

export function gone(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

export function unsupportedMediaType(message: string): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', message, {});
}

export function notImplemented(message: string): ApiError {
  return new ApiError(501, 'NotImplemented', message);
}

export function internalError(message: string): ApiError {
  return new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, {
    causes: [{ message } as StatusCause],
  });
}

export function tooManyRequests(message: string, retryAfterSeconds: number, causes: StatusCause[] = []): ApiError {
  return new ApiError(
    429,
    'TooManyRequests',
    message,
    {
      ...(causes.length > 0
        ? { causes: causes.map(({ field, ...cause }) => (field ? { field, ...cause } : cause)) }
        : {}),
      ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
    },
    retryAfterSeconds > 0 ? { 'Retry-After': String(retryAfterSeconds) } : {},
  );
}

/** 422. `kind` is the object's kind here (not the resource), e.g. group 'apps', kind 'Deployment'. */
export function invalid(group: string, kind: string, name: string, causes: readonly StatusCause[]): ApiError {
  const list = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))];
  const text = list.length === 1 ? list[0]! : `[${list.join(', ')}]`;
  const qualified = group ? `${kind}.${group}` : kind;
  return new ApiError(422, 'Invalid', `${qualified} ${JSON.stringify(name)} is invalid: ${text}`, {
    ...(name ? { name } : {}),
    ...(group ? { group } : {}),
    ...(kind ? { kind } : {}),
    causes: causes.map(({ reason, message, field }) => ({ reason, message, field })),
  });
}

/** RFC 4918, section 11.5. No Retry-After: space comes when somebody makes it. */
function insufficientStorage(message: string): ApiError {
  return new ApiError(507, 'InsufficientStorage', message);
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof StorageFailure) return insufficientStorage(error.message);
  return internalError(error instanceof Error ? error.message : String(error));
}
