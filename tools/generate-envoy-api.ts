// SPDX-License-Identifier: Apache-2.0
// Generates the Envoy API types (gen/) from the .proto files that npm's @grpc/grpc-js-xds carries, so that no
// third-party source is committed. proto/ adds the few messages that this package lacks.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = resolve(fileURLToPath(new URL('..', import.meta.url)));
const deps = join(root, 'node_modules/@grpc/grpc-js-xds/deps');

/** The files whose messages we emit or decode; their imports follow by themselves. */
const WANTED = [
  'envoy/service/discovery/v3/discovery.proto',
  'envoy/service/discovery/v3/ads.proto',
  'envoy/service/secret/v3/sds.proto',
  'envoy/config/bootstrap/v3/bootstrap.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/config/accesslog/v3/accesslog.proto',
  'envoy/config/grpc_credential/v3/file_based_metadata.proto',
  'envoy/config/rbac/v3/rbac.proto',
  'envoy/config/common/matcher/v3/matcher.proto',
  'envoy/config/trace/v3/opentelemetry.proto',
  'envoy/config/trace/v3/datadog.proto',
  'envoy/admin/v3/config_dump.proto',
  'envoy/extensions/access_loggers/file/v3/file.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/access_loggers/filters/cel/v3/cel.proto',
  'envoy/extensions/request_id/uuid/v3/uuid.proto',
  'envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto',
  'envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.proto',
  'envoy/extensions/access_loggers/grpc/v3/als.proto',
  'envoy/config/trace/v3/skywalking.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.proto',
  'envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto',
  'envoy/extensions/filters/network/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/http/cors/v3/cors.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/health_check/v3/health_check.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/grpc_stats/v3/config.proto',
  'envoy/extensions/filters/http/on_demand/v3/on_demand.proto',
  'envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.proto',
  'envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto',
  'envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto',
  'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
  'envoy/extensions/filters/listener/original_dst/v3/original_dst.proto',
  'envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto',
  'envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/extensions/load_balancing_policies',
  'envoy/type/matcher/v3/filter_state.proto',
  'envoy/type/v3/percent.proto',
];

/** Messages that the package lacks, or has without the fields that we use. */
const OWN = join(root, 'proto');
const own = readdirSync(OWN, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.proto'));

const only = [...new Set([...WANTED, ...own])].filter((path) => {
  if (own.includes(path)) return true;
  try {
    statSync(join(deps, 'envoy-api', path));
    return true;
  } catch {
    process.stderr.write(`generate-envoy-api: not in @grpc/grpc-js-xds: ${path}\n`);
    return false;
  }
});

/** What `registryModule` describes, with all that it imports. */
const DESCRIBED = [
  'envoy/extensions',
  'envoy/config/listener/v3',
  'envoy/config/route/v3',
  'envoy/config/cluster/v3',
  'envoy/config/core/v3',
  'envoy/config/endpoint/v3',
  'envoy/config/trace/v3',
  'udpa/type',
  'xds/type',
];

const work = mkdtempSync(join(tmpdir(), 'isthmus-proto-'));
try {
  const src = join(work, 'src');
  mkdirSync(src);
  for (const tree of [
    'envoy-api/envoy',
    'googleapis/google/api',
    'googleapis/google/rpc',
    'protoc-gen-validate/validate',
    'xds/udpa',
    'xds/xds',
  ]) {
    cpSync(join(deps, tree), join(src, tree.split('/').slice(1).join('/')), { recursive: true });
  }
  // opentelemetry/ is not in the package: what imports it would not resolve.
  for (const unresolved of [
    'envoy/extensions/access_loggers/open_telemetry',
    'envoy/extensions/tracers/opentelemetry',
    'envoy/extensions/stat_sinks/open_telemetry',
  ]) {
    rmSync(join(src, unresolved), { recursive: true, force: true });
  }
  // Last, for some of our own messages take the place of older ones.
  cpSync(OWN, src, { recursive: true });
  // The packaged validate.proto is older than the files that use it; the rules are of no use to us, so the one option
  // that it does not know is taken out.
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.proto')) continue;
    const text = readFileSync(join(src, file), 'utf8');
    const mended = text.replace(/\s*ignore_empty: true/g, '');
    if (mended !== text) writeFileSync(join(src, file), mended);
  }
  writeFileSync(join(work, 'buf.yaml'), 'version: v2\nmodules:\n  - path: src\n');
  writeFileSync(
    join(work, 'buf.gen.yaml'),
    [
      'version: v2',
      'plugins:',
      `  - local: ["${process.execPath}", "${join(root, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es')}"]`,
      '    out: out',
      '    strategy: all',
      '    include_imports: true',
      '    opt: [target=ts, import_extension=ts]',
      '',
    ].join('\n'),
  );
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/@bufbuild/buf/bin/buf'), 'generate', ...only.flatMap((p) => ['--path', join('src', p)])],
    {
      cwd: work,
      stdio: 'inherit',
    },
  );
  rmSync(join(root, 'gen'), { recursive: true, force: true });
  for (const file of readdirSync(join(work, 'out'), { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ts')) mendEnums(join(work, 'out', file));
  }
  cpSync(join(work, 'out'), join(root, 'gen'), { recursive: true });
  writeFileSync(join(root, 'gen/registry.ts'), registryModule());
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Every message of Envoy's API that an EnvoyFilter may name, as descriptors: read when the first one does. */
function registryModule(): string {
  // Of versions before the third the package has parts only, and nobody serves them.
  for (const folder of readdirSync(join(work, 'src/envoy'), { recursive: true, encoding: 'utf8' })) {
    if (/(^|\/)v2(alpha\d*)?$/.test(folder)) rmSync(join(work, 'src/envoy', folder), { recursive: true, force: true });
  }
  // These import opencensus/, which is not in the package.
  for (const file of ['trace.proto', 'opencensus.proto']) rmSync(join(work, 'src/envoy/config/trace/v3', file));
  const paths = DESCRIBED.flatMap((path) => ['--path', join('src', path)]);
  const target = join(work, 'descriptors.binpb');
  const args = [
    join(root, 'node_modules/@bufbuild/buf/bin/buf'),
    'build',
    '--exclude-source-info',
    ...paths,
    '-o',
    target,
  ];
  execFileSync(process.execPath, args, { cwd: work, stdio: 'inherit' });
  const bytes = gzipSync(readFileSync(target), { level: 9 }).toString('base64');
  return [
    "import { gunzipSync } from 'node:zlib';",
    "import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';",
    "import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';",
    `const DESCRIPTORS = '${bytes}';`,
    'let registry: FileRegistry | undefined;',
    "/** Every message of Envoy's API; made at the first call, which takes some 50 ms. */",
    'export function envoyRegistry(): FileRegistry {',
    "  const read = () => fromBinary(FileDescriptorSetSchema, gunzipSync(Buffer.from(DESCRIPTORS, 'base64')));",
    '  registry ??= createFileRegistry(read());',
    '  return registry;',
    '}',
    '',
  ].join('\n');
}

/** `enum` cannot be stripped from TypeScript, only compiled; an object and a type of one name do the same. */
function mendEnums(path: string): void {
  const text = readFileSync(path, 'utf8');
  const mended = text.replace(/^export enum (\w+) \{\n([\s\S]*?)^\}/gm, (_, name: string, body: string) => {
    const members = body.replace(/^ {2}(\w+) = (-?\d+),$/gm, '  $1: $2,');
    return `export const ${name} = {\n${members}} as const;\nexport type ${name} = (typeof ${name})[keyof typeof ${name}];`;
  });
  if (mended !== text) writeFileSync(path, mended);
}
