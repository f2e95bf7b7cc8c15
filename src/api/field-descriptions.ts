// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of the members of mesh kinds. By the end of their path, the longest that fits: "port" is
// any port, "servers.port" that of a gateway's server, "Gateway.spec.selector" the one of that kind.
import type { JsonSchema } from './shape.ts';

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  status: 'Whether the control plane could use the object, and why not.',
  name: 'A name, for logs and for what refers to it.',
  port: 'The port.',
  number: 'Number of the port, 1 to 65535.',
  'ports.protocol': 'HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.',
  'ports.targetPort': 'The port that the endpoints listen on; the same number when nothing is said.',
  protocol: 'The protocol spoken.',
  exact: 'The very same text.',
  prefix: 'Texts that begin so.',
  regex: 'Texts that match this regular expression (RE2) as a whole.',
  exportTo: 'Namespaces that see it: "." this one, "*" all (default).',
  weight: 'Share of the requests. Shares of a route are relative to each other.',
  destination: 'Where requests go.',
  'destination.host': 'Name of a service: reviews, reviews.shop.svc.cluster.local or reviews.shop.global.',
  'destination.subset': 'A subset that a DestinationRule of the host defines.',
  'destination.port': 'The port; needed when the service has several.',
  headers: 'Headers to set, add and remove.',
  'headers.request': 'On the way to the service.',
  'headers.response': 'On the way back.',
  set: 'Headers that get this value instead of any other.',
  add: 'Headers that get this value beside others.',
  remove: 'Headers that are taken away.',
  percentage: 'Which share of the requests.',
  value: 'The share, 0 to 100.',
  interval: 'How often, as 10s.',
  // VirtualService
  'VirtualService.spec.hosts': 'Host names that the rules are about; *.example.com for all below it.',
  'VirtualService.spec.gateways': 'Gateways that the rules apply at; "mesh" (default) is all sidecars.',
  http: 'Routes of HTTP requests; the first whose match fits is taken.',
  'VirtualService.spec.tls': 'Routes of TLS connections that are passed on unread, by their SNI.',
  'http.name': 'A name of the route, shown in the access log.',
  'http.match': 'Which requests; one of the entries must fit, with all it says. All requests when empty.',
  'tls.match': 'Which connections; one of the entries must fit.',
  'match.name': 'A name of the condition, shown in the access log.',
  'match.uri': 'The path.',
  'match.scheme': 'http or https.',
  'match.method': 'The method, such as GET.',
  'match.authority': 'The Host header.',
  'match.headers': 'Headers, in lower case, and what they must be.',
  'match.withoutHeaders': 'Headers, and what they must not be.',
  'match.queryParams': 'Query parameters, and what they must be.',
  'match.port': 'The port that was called.',
  'match.sourceLabels': 'Only requests of pods with these labels.',
  'match.sourceNamespace': 'Only requests of pods of this namespace.',
  'match.gateways': 'Only at these gateways.',
  'match.ignoreUriCase': 'Whether upper and lower case of the path are the same.',
  'match.sniHosts': 'Names in the SNI of the TLS handshake.',
  'http.route': 'Where the requests go; several share them by weight.',
  'tls.route': 'Where the connections go; several share them by weight.',
  'http.redirect': 'Answers with another address instead.',
  'redirect.uri': 'The path to go to.',
  'redirect.authority': 'The host to go to.',
  'redirect.scheme': 'The scheme to go to: http or https.',
  'redirect.port': 'The port to go to.',
  'redirect.redirectCode': 'The status code. 301 when nothing is said.',
  'http.directResponse': 'Answers by itself.',
  'directResponse.status': 'The status code.',
  'directResponse.body': 'The body.',
  'body.string': 'The body as text.',
  'http.rewrite': 'Changes path or host before the request goes on.',
  'rewrite.uri': 'The new path; in place of the prefix when a prefix was matched.',
  'rewrite.authority': 'The new Host header.',
  'rewrite.uriRegexRewrite': 'Replaces what a regular expression finds in the path.',
  'uriRegexRewrite.match': 'The regular expression (RE2).',
  'uriRegexRewrite.rewrite': 'The replacement; \\1 stands for the first group.',
  'http.timeout': 'How long the answer may take, as 10s. For ever when nothing is said.',
  'http.retries': 'Whether and how failed requests are tried again.',
  'retries.attempts': 'How many more times.',
  'retries.perTryTimeout': 'How long each try may take.',
  'retries.retryOn': 'After which failures: 5xx, gateway-error, connect-failure, ... by comma.',
  'retries.retryIgnorePreviousHosts': 'Whether each try goes to another endpoint.',
  'retries.backoff': 'How long to wait before the first further try.',
  'http.fault': 'Disturbs requests on purpose, for testing.',
  'fault.delay': 'Delays requests.',
  'delay.fixedDelay': 'How long, as 5s.',
  'fault.abort': 'Answers with an error.',
  'abort.httpStatus': 'The status code of the answer.',
  'http.mirror': 'Sends a copy of each request there too; its answer is dropped.',
  'mirror.host': 'Name of a service.',
  'mirror.subset': 'A subset that a DestinationRule of the host defines.',
  'http.mirrorPercentage': 'Which share of the requests is copied.',
  'http.mirrors': 'As mirror, several.',
  'http.corsPolicy': 'Which pages of other origins may call.',
  'corsPolicy.allowOrigins': 'The origins.',
  'corsPolicy.allowMethods': 'Methods they may use.',
  'corsPolicy.allowHeaders': 'Headers they may send.',
  'corsPolicy.exposeHeaders': 'Headers of the answer they may read.',
  'corsPolicy.maxAge': 'How long browsers may remember this.',
  'corsPolicy.allowCredentials': 'Whether they may send cookies.',
  // DestinationRule
  'DestinationRule.spec.host': 'The service that the rule is about.',
  trafficPolicy: 'How connections to the service are made.',
  'DestinationRule.spec.subsets': 'Parts of the service, by labels of its pods: versions.',
  'subsets.name': 'The name that routes use.',
  'subsets.labels': 'Labels of the pods.',
  'subsets.trafficPolicy': 'As above, for this subset alone.',
  'trafficPolicy.portLevelSettings': 'As above, for one port alone.',
  tls: 'TLS of the connections.',
  'tls.mode': "DISABLE, SIMPLE, MUTUAL, or ISTIO_MUTUAL: mutual TLS with the mesh's own certificates.",
  'tls.clientCertificate': 'File of the client certificate, for MUTUAL.',
  'tls.privateKey': 'File of its key, for MUTUAL.',
  'tls.caCertificates': "File of the certificates that the server's must come from.",
  'tls.subjectAltNames': "Names that the server's certificate must have one of.",
  'tls.sni': 'The server name that is sent in the handshake.',
  'tls.insecureSkipVerify': "Whether the server's certificate is not checked.",
  loadBalancer: 'How an endpoint is chosen.',
  connectionPool: 'How many connections and requests there may be.',
  'connectionPool.tcp': 'Of all connections.',
  'connectionPool.http': 'Of HTTP connections.',
  'tcp.maxConnections': 'The most connections to the service.',
  'tcp.connectTimeout': 'How long connecting may take. 10s when nothing is said.',
  'tcp.tcpKeepalive': 'Probes that keep idle connections alive.',
  'tcpKeepalive.probes': 'How many go unanswered before the connection counts as dead.',
  'tcpKeepalive.time': 'How long a connection is idle before the first.',
  'tcpKeepalive.interval': 'How long between two.',
  'http.http1MaxPendingRequests': 'The most requests that wait for a connection.',
  'http.http2MaxRequests': 'The most requests at the same time.',
  'http.maxRequestsPerConnection': 'After how many requests a connection is closed; 1 for no keep-alive.',
  'http.maxRetries': 'The most retries at the same time.',
  'http.idleTimeout': 'How long a connection without requests is kept.',
  'http.maxConcurrentStreams': 'The most requests at the same time on one HTTP/2 connection.',
  outlierDetection: 'Takes endpoints out that fail.',
  'outlierDetection.consecutive5xxErrors': 'After how many 5xx answers in a row.',
  'outlierDetection.consecutiveGatewayErrors': 'After how many 502, 503, 504 answers in a row.',
  'outlierDetection.interval': 'How often it is looked at.',
  'outlierDetection.baseEjectionTime': 'How long the first time; longer each time after.',
  'outlierDetection.maxEjectionPercent': 'The largest share of endpoints that may be out.',
  'outlierDetection.minHealthPercent': 'Below this share of healthy endpoints all are used.',
  // Gateway
  'Gateway.spec.selector': 'Labels of the gateway pods that serve it.',
  'Gateway.spec.servers': 'Ports that are opened, and for which hosts.',
  'servers.port': 'The port.',
  'servers.hosts': 'Host names that are served there; * for all.',
  'servers.tls': 'TLS of the port.',
  'servers.tls.httpsRedirect': 'Whether plain requests are sent to https.',
  // ServiceEntry
  'ServiceEntry.spec.hosts': 'Names of the service.',
  'ServiceEntry.spec.addresses': 'Addresses that clients call it at.',
  'ServiceEntry.spec.ports': 'Its ports.',
  'ports.name': 'Name of the port.',
  location: 'MESH_EXTERNAL, or MESH_INTERNAL for mutual TLS.',
  resolution: 'How endpoints are found: STATIC, DNS or NONE (the address that was called).',
  'ServiceEntry.spec.endpoints': 'Its endpoints.',
  'endpoints.address': 'An IP address, or a name for resolution DNS.',
  'endpoints.ports': 'Its ports, by the names above, where they differ.',
  'endpoints.labels': 'Labels that subsets select by.',
  'endpoints.network': 'The network it is on, as meshNetworks names it; `external`: for egress gateways only.',
  'endpoints.locality': 'Where it is, as region/zone/subzone.',
  'endpoints.weight': 'Its share of the traffic.',
  'endpoints.serviceAccount': 'The service account it runs as.',
  'ServiceEntry.spec.subjectAltNames': "Names that the server's certificate must have one of.",
};

/** The schema with a description on each member that has none. `path` begins with the kind: "Gateway.spec". */
export function describeMembers(schema: JsonSchema, path: string): JsonSchema {
  const out: Record<string, unknown> = { ...schema };
  const { properties, items, additionalProperties: additional } = schema as Readonly<Record<string, JsonSchema>>;
  if (items) out['items'] = describeMembers(items, path);
  if (typeof additional === 'object') out['additionalProperties'] = describeMembers(additional, path);
  if (properties) {
    out['properties'] = Object.fromEntries(
      Object.entries(properties as Readonly<Record<string, JsonSchema>>).map(([name, inner]) => {
        const here = `${path}.${name}`;
        const text = inner['description'] ?? descriptionOf(here);
        return [name, { ...(text ? { description: text } : {}), ...describeMembers(inner, here) }];
      }),
    );
  }
  return out;
}

function descriptionOf(path: string): string | undefined {
  const steps = path.split('.');
  for (let from = 0; from < steps.length; from++) {
    const text = DESCRIPTIONS[steps.slice(from).join('.')];
    if (text) return text;
  }
  return undefined;
}
