// SPDX-License-Identifier: Apache-2.0
// The mesh's `extensionProviders`, which Telemetry objects name: where logs and traces go.
import {
  bool,
  checked,
  choice,
  defaulted,
  type Infer,
  idle,
  integer,
  isRecord,
  list,
  optional,
  required,
  type Shape,
  struct,
  text,
  turned,
} from './shape.ts';
import { durationMs, headerName, portNumber } from './values.ts';

/** `[NAMESPACE/]HOST`, as Istio writes services here: the host alone tells which one. */
const serviceHost = turned(text({ pattern: /^([^/\s]+\/)?[^/\s]+$/, what: 'HOST or NAMESPACE/HOST' }), (raw) =>
  raw.slice(raw.indexOf('/') + 1).toLowerCase(),
);
const service = { service: required(serviceHost), port: required(portNumber) };

const header = struct({
  name: required(text({ pattern: /^[\w!#$&'*+.^`|~-]+$/, what: 'the name of a header' })),
  value: optional(text({ pattern: /^[\x20-\x7e]*$/, what: 'printable ASCII' })),
  envName: idle('give the value itself'),
});
const headers = defaulted(list(header), []);

/** What nobody tells otherwise: texts with Envoy's format commands. */
export interface LogMembers {
  readonly [member: string]: string | LogMembers;
}

/** Numbers and booleans are written as texts, as Envoy has it. */
const logMembers: Shape<LogMembers> = {
  schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  decode(raw, at) {
    if (!isRecord(raw)) {
      at.report.add('ISM0002', at.field, 'it is no object', 'map names to format commands');
      return undefined;
    }
    return textsOf(raw);
  },
};

/** A JSON object of format commands, as text; '' is an empty one. Undefined: it is none. */
export function parseLogMembers(json: string): LogMembers | undefined {
  if (json.trim() === '') return {};
  try {
    const raw: unknown = JSON.parse(json);
    return isRecord(raw) ? textsOf(raw) : undefined;
  } catch {
    return undefined;
  }
}

function textsOf(raw: Readonly<Record<string, unknown>>): LogMembers {
  return Object.fromEntries(Object.entries(raw).map(([k, v]) => [k, isRecord(v) ? textsOf(v) : String(v)]));
}

const logFormat = struct({ text: optional(text()), labels: optional(logMembers) });

const zipkin = struct({
  ...service,
  maxTagLength: optional(integer({ min: 1 })),
  path: defaulted(text({ pattern: /^\//, what: 'a path' }), '/api/v2/spans'),
  traceContextOption: defaulted(choice(['USE_B3', 'USE_B3_WITH_W3C_PROPAGATION']), 'USE_B3'),
  enable64bitTraceId: optional(bool),
  timeout: optional(durationMs()),
  headers,
});

const opentelemetry = struct({
  ...service,
  maxTagLength: optional(integer({ min: 1 })),
  http: optional(
    struct({ path: required(text({ pattern: /^\//, what: 'a path' })), timeout: optional(durationMs()), headers }),
  ),
  grpc: optional(struct({ timeout: optional(durationMs()), initialMetadata: headers })),
  resourceDetectors: optional(
    struct({ environment: optional(struct({})), dynatrace: idle('the environment is what proxies read') }),
  ),
  dynatraceSampler: idle('sample by randomSamplingPercentage of Telemetry'),
  serviceAttributeEnrichment: idle(
    'traces name the canonical service and its namespace; OTEL_RESOURCE_ATTRIBUTES of a ProxyConfig says more',
  ),
});

const datadog = struct({ ...service, maxTagLength: optional(integer({ min: 1 })) });

const skywalking = struct({
  ...service,
  accessToken: optional(text({ pattern: /^[\x20-\x7e]*$/, what: 'printable ASCII' })),
});

const envoyFileAccessLog = struct({
  path: defaulted(text({ pattern: /^\//, what: 'the path of a file' }), '/dev/stdout'),
  logFormat: optional(logFormat),
  omitEmptyValues: optional(bool),
});

const envoyOtelAls = struct({
  ...service,
  logName: defaulted(text(), 'otel_envoy_accesslog'),
  logFormat: optional(logFormat),
});

/** Envoy's own service of access logs, by gRPC. */
const accessLogService = {
  ...service,
  logName: optional(text()),
  filterStateObjectsToLog: defaulted(list(text()), []),
};
const headerNames = defaulted(list(headerName), []);
const envoyHttpAls = struct({
  ...accessLogService,
  additionalRequestHeadersToLog: headerNames,
  additionalResponseHeadersToLog: headerNames,
  additionalResponseTrailersToLog: headerNames,
});
const envoyTcpAls = struct(accessLogService);

const KINDS = [
  'zipkin',
  'opentelemetry',
  'datadog',
  'skywalking',
  'prometheus',
  'envoyFileAccessLog',
  'envoyOtelAls',
  'envoyHttpAls',
  'envoyTcpAls',
] as const;

const noTracer = idle('Envoy has no such tracer any more: use opentelemetry, zipkin, datadog or skywalking');

const provider = checked(
  struct({
    name: required(text({ pattern: /./, what: 'a name' })),
    zipkin: optional(zipkin),
    opentelemetry: optional(opentelemetry),
    datadog: optional(datadog),
    skywalking: optional(skywalking),
    prometheus: optional(struct({})),
    envoyFileAccessLog: optional(envoyFileAccessLog),
    envoyOtelAls: optional(envoyOtelAls),
    envoyHttpAls: optional(envoyHttpAls),
    envoyTcpAls: optional(envoyTcpAls),
    envoyExtAuthzHttp: idle('external authorization is not available yet'),
    envoyExtAuthzGrpc: idle('external authorization is not available yet'),
    lightstep: noTracer,
    stackdriver: noTracer,
    opencensus: noTracer,
    sds: idle('keys come from the control plane'),
  }),
  (value, at) => {
    const given = KINDS.filter((kind) => value[kind] !== undefined);
    if (given.length < 2) return;
    at.report.add(
      'ISM0007',
      at.field,
      `a provider is one thing, and this is ${given.join(' and ')}`,
      'write two providers',
    );
  },
);
export type ExtensionProvider = Infer<typeof provider>;

export const extensionProviders = list(provider);

/** The service that is told, of providers that tell one. */
export function serviceTold(
  provider: ExtensionProvider,
): { readonly service: string; readonly port: number } | undefined {
  const { zipkin, opentelemetry, datadog, skywalking } = provider;
  const { envoyOtelAls: otel, envoyHttpAls: requests, envoyTcpAls: connections } = provider;
  return zipkin ?? opentelemetry ?? datadog ?? skywalking ?? otel ?? requests ?? connections;
}

const names = defaulted(list(text()), []);
export const defaultProviders = struct({
  tracing: names,
  metrics: optional(list(text())),
  accessLogging: optional(list(text())),
});
