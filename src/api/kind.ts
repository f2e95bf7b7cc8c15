// SPDX-License-Identifier: Apache-2.0
// What the kinds of the API have in common: a group, names, a spec's shape, and how a raw object becomes a typed one.
import type { KubeObject, ResourceType } from '../kube/types.ts';
import type { Diagnostic, ObjectRef } from './diagnostics.ts';
import { type Locate, Report } from './report.ts';
import type { At, Shape } from './shape.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date' | 'integer';
  readonly jsonPath: string;
  readonly description: string;
}

export interface Kind<Spec> {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** Namespaced by default. */
  readonly scope?: 'Cluster';
  /** Served versions, the storage version last. */
  readonly versions: readonly string[];
  readonly description: string;
  readonly columns: readonly PrinterColumn[];
  readonly spec: Shape<Spec>;
  /** Rules over the whole spec, run once it is well-formed. */
  check?(spec: Spec, at: At, header: ObjectHeader): void;
  /** Adds what an object of this kind says beside its spec: in its labels, its annotations, its status. */
  complete?(spec: Spec, raw: KubeObject, report: Report): Spec;
}

/** The resource behind a kind, in the version that is stored: others would be converted from it. */
export function resourceOf({ group, versions, plural, kind, scope }: Kind<unknown>): ResourceType {
  return { group, version: versions.at(-1) ?? 'v1', resource: plural, kind, namespaced: scope !== 'Cluster' };
}

export interface ObjectHeader {
  readonly ref: ObjectRef;
  /** Milliseconds since the epoch; 0 where there is none (files). The older of two rules wins. */
  readonly createdAtMs: number;
}

/** A decoded object of the API: plain data, so that two of them can be compared. */
export interface MeshObject<Spec> extends ObjectHeader {
  readonly spec: Spec;
}

export interface DecodeResult<Spec> {
  /** Absent when the object is refused. */
  readonly value?: MeshObject<Spec>;
  readonly diagnostics: readonly Diagnostic[];
}

export function decodeObject<Spec>(
  kind: Kind<Spec>,
  raw: KubeObject,
  options: { cluster?: string; locate?: Locate | undefined } = {},
): DecodeResult<Spec> {
  const ref = refOf(raw, options.cluster);
  const report = new Report(ref, options.locate);
  if (!kind.versions.some((version) => raw.apiVersion === `${kind.group}/${version}`)) {
    const served = kind.versions.map((version) => `${kind.group}/${version}`).join(', ');
    report.add('ISM0010', 'apiVersion', `${raw.apiVersion} does not have ${kind.kind}`, `use one of ${served}`);
    return { diagnostics: report.diagnostics };
  }
  const header = headerOf(raw, ref);
  const spec = readSpec(kind, raw, header, report);
  if (spec === undefined || report.errors > 0) return { diagnostics: report.diagnostics };
  return { value: { ...header, spec: kind.complete?.(spec, raw, report) ?? spec }, diagnostics: report.diagnostics };
}

function readSpec<Spec>(kind: Kind<Spec>, raw: KubeObject, header: ObjectHeader, report: Report): Spec | undefined {
  try {
    const spec = kind.spec.decode(raw['spec'] ?? {}, { field: 'spec', report });
    if (spec !== undefined && report.errors === 0) kind.check?.(spec, { field: 'spec', report }, header);
    return spec;
  } catch (error) {
    // Our own mistake, or the stack's end: one object is left out, and the mesh goes on.
    const message = `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    report.add('ISM0006', 'spec', message, 'make it simpler, and tell us of it');
    return undefined;
  }
}

export function refOf(raw: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>, cluster?: string): ObjectRef {
  const { name = '', namespace = '' } = raw.metadata;
  const ref = { apiVersion: raw.apiVersion, kind: raw.kind, namespace, name };
  return cluster === undefined ? ref : { ...ref, cluster };
}

function headerOf(raw: KubeObject, ref: ObjectRef): ObjectHeader {
  const created = Date.parse(raw.metadata.creationTimestamp ?? '');
  return { ref, createdAtMs: Number.isNaN(created) ? 0 : created };
}
