// SPDX-License-Identifier: Apache-2.0
// One store of events, shown as core/v1 and as events.k8s.io/v1.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { age, column, NAME, type TableColumn } from '../../tables/table.ts';
import { invalidValue, required } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, textAt } from '../kind-builder.ts';

/** events.k8s.io name -> core name, where they differ. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

function rename(object: KubeObject, pairs: readonly (readonly [string, string])[], apiVersion: string): KubeObject {
  const names = new Map(pairs);
  const entries = Object.entries(object).map(([name, value]) => [names.get(name) ?? name, value]);
  return { ...(Object.fromEntries(entries) as KubeObject), apiVersion };
}

/** core/v1 always writes these two, events.k8s.io only when they say something. */
function withoutEmpty(object: KubeObject): KubeObject {
  const entries = Object.entries(object).filter(([name, value]) => !(name.startsWith('reporting') && value === ''));
  return Object.fromEntries(entries) as KubeObject;
}

const BACK = RENAMED.map(([event, core]) => [core, event] as const);

function validate(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const namespace = textAt(object, 'involvedObject.namespace');
  const own = object.metadata.namespace ?? '';
  // Events about cluster-scoped objects go into the default namespace.
  if (namespace !== own && !(namespace === '' && own === 'default')) {
    causes.push(invalidValue('involvedObject.namespace', namespace, 'does not match event.namespace'));
  }
  return causes;
}

/** The new group asks for more: its writers have no excuse. */
function validateNew(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  if (!object['eventTime']) causes.push(required('eventTime'));
  const type = String(object['type'] ?? '');
  if (type !== 'Normal' && type !== 'Warning') causes.push(invalidValue('type', type, `has invalid value: ${type}`));
  for (const field of ['reportingController', 'reportingInstance', 'action', 'reason']) {
    if (object['eventTime'] && !object[field]) causes.push(required(field));
  }
  return causes;
}

function lastSeen(object: KubeObject, now: Date): string {
  const time = textAt(object, 'series.lastObservedTime') || textAt(object, 'lastTimestamp') || firstTime(object);
  return age(time, now);
}

function firstTime(object: KubeObject): string {
  return textAt(object, 'firstTimestamp') || textAt(object, 'eventTime');
}

function subject(object: KubeObject): string {
  const kind = textAt(object, 'involvedObject.kind').toLowerCase();
  const name = textAt(object, 'involvedObject.name');
  return name ? `${kind}/${name}` : kind;
}

function source(object: KubeObject): string {
  const component = textAt(object, 'source.component') || textAt(object, 'reportingComponent');
  const host = textAt(object, 'source.host') || textAt(object, 'reportingInstance');
  return host && component ? `${component}, ${host}` : component;
}

const COLUMNS: readonly TableColumn[] = [
  column('Last Seen', lastSeen),
  column('Type', (object) => textAt(object, 'type')),
  column('Reason', (object) => textAt(object, 'reason')),
  column('Object', subject),
  column('Subobject', (object) => textAt(object, 'involvedObject.fieldPath'), { wide: true }),
  column('Source', source, { wide: true }),
  column('Message', (object) => textAt(object, 'message').trim()),
  column('First Seen', (object, now) => age(firstTime(object), now), { wide: true }),
  column('Count', (object) => Number(at(object, 'series.count') ?? (object['count'] || 1)), { wide: true }),
  { ...NAME, priority: 1 },
];

const INVOLVED = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
const PLAIN = ['reason', 'reportingComponent', 'type'];

/** Selectable under both groups' names; the object is always the stored, core one. */
function selectable(): Record<string, (object: KubeObject) => string> {
  const entries: [string, (object: KubeObject) => string][] = PLAIN.map((field) => [
    field,
    (object: KubeObject) => textAt(object, field),
  ]);
  for (const field of INVOLVED) {
    const read = (object: KubeObject) => textAt(object, `involvedObject.${field}`);
    entries.push([`involvedObject.${field}`, read], [`regarding.${field}`, read]);
  }
  entries.push(['source', (object) => textAt(object, 'source.component') || textAt(object, 'reportingComponent')]);
  entries.push(['reportingController', (object) => textAt(object, 'reportingComponent')]);
  return Object.fromEntries(entries);
}

export function eventKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Event',
      resource: 'events',
      versions: [
        { group: '', version: 'v1', type: 'core.v1.Event' },
        {
          group: 'events.k8s.io',
          version: 'v1',
          type: 'events.v1.Event',
          toStorage: (object) => rename(object, RENAMED, 'v1'),
          fromStorage: (object) => rename(withoutEmpty(object), BACK, 'events.k8s.io/v1'),
          validateSchema: (object, old) => (old ? [] : validateNew(object)),
        },
      ],
      shortNames: ['ev'],
      fields: selectable(),
      columns: COLUMNS,
      strategy: { nameRule: () => undefined, validate },
    }),
  ];
}
