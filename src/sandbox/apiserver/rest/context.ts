// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  groupResource,
  type ResourceDefinition,
  type ServedVersion,
  type StrategyContext,
} from '../resources/definition.ts';
import type { Registry } from '../resources/registry.ts';
import type { TypeTable } from '../schema/parse.ts';
import type { Attributes, ComputedSource, Security, UserInfo } from '../seams.ts';
import { type GroupResource, invalid, type StatusCause } from '../status.ts';
import type { ObjectKey, ObjectStore } from '../storage/store.ts';
import { unsupported } from '../validation/causes.ts';
import type { ResourcePath } from './path.ts';

/** What the whole server shares; made once by main.ts. */
export interface Core {
  readonly store: ObjectStore;
  readonly registry: Registry;
  readonly types: TypeTable;
  readonly security: Security;
  /** By storage key: what answers for kinds that are computed. */
  readonly computed: ReadonlyMap<string, ComputedSource>;
  readonly serviceCidr: string;
  readonly nodePortRange: { readonly from: number; readonly to: number };
  readonly now: () => Date;
  /** In [0, 1). */
  readonly random: () => number;
  readonly newUid: () => string;
  readonly bookmarkIntervalMs: number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Ends long requests when the server stops. */
  readonly signal: AbortSignal;
}

/** One authenticated and authorized request for a resource that is stored. */
export interface ResourceRequest {
  readonly core: Core;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly user: UserInfo;
  readonly attributes: Attributes;
  readonly query: URLSearchParams;
  readonly path: ResourcePath;
  readonly definition: ResourceDefinition;
  readonly version: ServedVersion;
  /** Aborted when the client has gone or the server stops. */
  readonly signal: AbortSignal;
  warn(message: string): void;
}

export function requestedResource(request: ResourceRequest): GroupResource {
  return groupResource(request.definition, request.version);
}

export function keyOf(request: ResourceRequest, name: string = request.path.name): ObjectKey {
  return { resource: request.definition.storageKey, namespace: request.path.namespace, name };
}

export function strategyContext(request: ResourceRequest, dryRun: boolean): StrategyContext {
  const { store, now, random, serviceCidr, nodePortRange } = request.core;
  return { store, now, random, serviceCidr, nodePortRange, dryRun, warn: (message) => request.warn(message) };
}

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
}

/** dryRun, fieldManager and fieldValidation; `kind` is CreateOptions, UpdateOptions or PatchOptions. Throws 422. */
export function writeOptions(request: ResourceRequest, kind: string): WriteOptions {
  const { query } = request;
  const causes: StatusCause[] = [];
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', dryRun, ['All']));
  const fieldValidation = query.get('fieldValidation') ?? '';
  if (!['', 'Ignore', 'Strict', 'Warn'].includes(fieldValidation)) {
    causes.push(unsupported('fieldValidation', fieldValidation, ['', 'Ignore', 'Strict', 'Warn']));
  }
  const fieldManager = query.get('fieldManager') ?? '';
  if (fieldManager.length > 128) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: 'Too long: may not be more than 128 bytes',
      field: 'fieldManager',
    });
  }
  if (causes.length > 0) throw invalid('meta.k8s.io', kind, '', causes);
  return {
    dryRun: dryRun.length > 0,
    fieldManager: fieldManager || managerFromUserAgent(request.request.headers['user-agent']),
    fieldValidation: (fieldValidation || 'Warn') as WriteOptions['fieldValidation'],
  };
}

/** The name before the first slash, as the real server takes it. */
function managerFromUserAgent(userAgent: string | undefined): string {
  return (userAgent ?? '').split('/')[0]!.slice(0, 128) || 'unknown';
}
