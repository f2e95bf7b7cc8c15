// SPDX-License-Identifier: Apache-2.0
// telemetry.istio.io Telemetry: https://istio.io/latest/docs/reference/config/telemetry/
import { expression, textExpression } from './expression.ts';
import type { Kind, MeshObject } from './kind.ts';
import {
  bool,
  checked,
  choice,
  decimal,
  defaulted,
  type Infer,
  idle,
  list,
  mapOf,
  optional,
  refused,
  required,
  struct,
  text,
} from './shape.ts';
import { labels } from './values.ts';

const providers = defaulted(list(struct({ name: required(text({ pattern: /./, what: 'a name' })) })), []);

const mode = defaulted(choice(['CLIENT_AND_SERVER', 'CLIENT', 'SERVER']), 'CLIENT_AND_SERVER');
export type WorkloadMode = Infer<typeof mode.shape>;

const defaultMode = { mode: 'CLIENT_AND_SERVER' } as const;

const named = struct({ name: required(text({ pattern: /./, what: 'a name' })), defaultValue: optional(text()) });

/** Envoy refuses the listener of a text with a `%` that begins no command. */
const formatText = checked(text({ pattern: /./, what: 'a text with format commands' }), (value, at) => {
  if (!value.replace(/%%|%[A-Z][A-Z0-9_]*(\([^)]*\))?(:\d+)?%/g, '').includes('%')) return;
  const cure = 'write %% for a percent sign, or a command of access logs such as %REQUESTED_SERVER_NAME%';
  at.report.add('ISM0006', at.field, `${JSON.stringify(value)} has a % that begins no command`, cure);
});

const SOURCES = ['literal', 'environment', 'header', 'formatter'] as const;

const customTag = checked(
  struct({
    literal: optional(struct({ value: required(text()) })),
    environment: optional(named),
    header: optional(named),
    formatter: optional(struct({ value: required(formatText) })),
  }),
  (value, at) => {
    const given = SOURCES.filter((source) => value[source] !== undefined);
    if (given.length === 1) return;
    const cure = 'give one of literal, environment, header and formatter';
    at.report.add(given.length === 0 ? 'ISM0001' : 'ISM0007', at.field, 'a tag has one source', cure);
  },
);
export type CustomTag = Infer<typeof customTag>;

const tracing = struct({
  match: defaulted(struct({ mode }), defaultMode),
  providers,
  randomSamplingPercentage: optional(decimal({ min: 0, max: 100 })),
  disableSpanReporting: optional(bool),
  customTags: optional(mapOf(customTag)),
  enableIstioTags: optional(bool),
  useRequestIdForTraceSampling: optional(bool),
  disableContextPropagation: optional(bool),
});

/** Istio's names -> ours, which are those of its metrics. */
export const METRICS = {
  REQUEST_COUNT: 'requests_total',
  REQUEST_DURATION: 'request_duration_milliseconds',
  REQUEST_SIZE: 'request_bytes',
  RESPONSE_SIZE: 'response_bytes',
  TCP_OPENED_CONNECTIONS: 'tcp_connections_opened_total',
  TCP_CLOSED_CONNECTIONS: 'tcp_connections_closed_total',
  TCP_SENT_BYTES: 'tcp_sent_bytes_total',
  TCP_RECEIVED_BYTES: 'tcp_received_bytes_total',
} as const;
/** Envoy counts gRPC's messages by a filter of its own, which tells them to no one else. */
const NOT_COUNTED = ['GRPC_REQUEST_MESSAGES', 'GRPC_RESPONSE_MESSAGES'] as const;
const METRIC_NAMES = Object.keys(METRICS) as (keyof typeof METRICS)[];

const tagOverride = checked(
  struct({ operation: defaulted(choice(['UPSERT', 'REMOVE']), 'UPSERT'), value: optional(textExpression) }),
  (value, at) => {
    if (value.operation === 'UPSERT' && value.value === undefined) {
      at.report.add('ISM0001', `${at.field}.value`, 'UPSERT needs a value', 'add a CEL expression, or use REMOVE');
    }
    if (value.operation === 'REMOVE' && value.value !== undefined) {
      at.report.add('ISM0007', `${at.field}.value`, 'REMOVE takes no value', 'remove it, or use UPSERT');
    }
  },
);

const metricSelector = struct({
  metric: defaulted(choice(['ALL_METRICS', ...METRIC_NAMES, ...NOT_COUNTED]), 'ALL_METRICS'),
  customMetric: idle('proxies count Istio’s own metrics'),
  mode,
});

const LABEL = text({ pattern: /^[a-zA-Z_][a-zA-Z0-9_]*$/, what: 'the name of a label' });

const override = checked(
  struct({
    match: defaulted(metricSelector, { metric: 'ALL_METRICS', mode: 'CLIENT_AND_SERVER' }),
    disabled: optional(bool),
    tagOverrides: defaulted(mapOf(tagOverride, LABEL), {}),
  }),
  ({ match: { metric }, disabled }, at) => {
    if (disabled === true || !NOT_COUNTED.some((name) => name === metric)) return;
    const why = 'see the rate of its requests by REQUEST_COUNT, and their bytes by REQUEST_SIZE and RESPONSE_SIZE';
    at.report.add('ISM0005', `${at.field}.match.metric`, `${metric} is not counted by proxies`, why);
  },
);

const metrics = struct({
  providers,
  overrides: defaulted(list(override), []),
  reportingInterval: idle('bytes of TCP are told when the connection ends'),
});

const accessLogging = struct({
  match: defaulted(struct({ mode }), defaultMode),
  providers,
  disabled: optional(bool),
  filter: optional(struct({ expression: required(expression) })),
});

const spec = struct(
  {
    selector: optional(struct({ matchLabels: defaulted(labels, {}) })),
    targetRef: refused('select workloads by selector'),
    targetRefs: refused('select workloads by selector'),
    tracing: defaulted(list(tracing), []),
    metrics: defaulted(list(metrics), []),
    accessLogging: defaulted(list(accessLogging), []),
  },
  'What is told of requests: metrics, access logs and traces.',
);
export type TelemetrySpec = Infer<typeof spec>;
export type Telemetry = MeshObject<TelemetrySpec>;

export const TELEMETRY: Kind<TelemetrySpec> = {
  group: 'telemetry.istio.io',
  kind: 'Telemetry',
  plural: 'telemetries',
  singular: 'telemetry',
  shortNames: ['telemetry'],
  versions: ['v1alpha1', 'v1'],
  description: 'What is told of requests: metrics, access logs and traces.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
};
