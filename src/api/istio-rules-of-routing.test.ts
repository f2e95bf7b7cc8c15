// SPDX-License-Identifier: Apache-2.0
import { describeRules, type Rule } from './testing/istio-rules.ts';

const ROUTE = 'route: [{destination: {host: a}}]';
const http = (route: string) => `{hosts: [a], http: [{${route}}]}`;
const VIRTUAL_SERVICE: readonly Rule[] = [
  ['no routes at all', '{hosts: [a]}', http(ROUTE)],
  ['a route that leads nowhere', http('timeout: 1s'), http(`${ROUTE}, timeout: 1s`)],
  ['a route and a redirect', http(`${ROUTE}, redirect: {uri: /x}`), http('redirect: {uri: /x}')],
  ['a route and an answer', http(`${ROUTE}, directResponse: {status: 200}`), http('directResponse: {status: 200}')],
  ['a redirect and an answer', http('redirect: {uri: /x}, directResponse: {status: 200}'), http('redirect: {uri: /x}')],
  [
    'a fault and a redirect',
    http('fault: {abort: {httpStatus: 500}}, redirect: {uri: /x}'),
    http(`fault: {abort: {httpStatus: 500}}, ${ROUTE}`),
  ],
  ['a rewrite and a redirect', http('rewrite: {uri: /y}, redirect: {uri: /x}'), http(`rewrite: {uri: /y}, ${ROUTE}`)],
  ['a redirect to nothing', http('redirect: {redirectCode: 302}'), http('redirect: {redirectCode: 302, uri: /x}')],
  ['a redirect by an unknown scheme', http('redirect: {scheme: ftp}'), http('redirect: {scheme: https}')],
  [
    'a redirect by uri and prefixRewrite',
    http('match: [{uri: {prefix: /a}}], redirect: {uri: /x, prefixRewrite: /y}'),
    http('match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /y}'),
  ],
  [
    'a prefixRewrite without a prefix',
    http('match: [{uri: {exact: /a}}], redirect: {prefixRewrite: /y}'),
    http('match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /y}'),
  ],
  ['a rewrite of nothing', http(`${ROUTE}, rewrite: {}`), http(`${ROUTE}, rewrite: {uri: /x}`)],
  [
    'a rewrite by uri and by expression',
    http(`${ROUTE}, rewrite: {uri: /x, uriRegexRewrite: {match: a, rewrite: b}}`),
    http(`${ROUTE}, rewrite: {uriRegexRewrite: {match: a, rewrite: b}}`),
  ],
  [
    'half an expression of a rewrite',
    http(`${ROUTE}, rewrite: {uriRegexRewrite: {match: a}}`),
    http(`${ROUTE}, rewrite: {uriRegexRewrite: {match: a, rewrite: b}}`),
  ],
  [
    'weights that are all zero',
    http('route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]'),
    http('route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 1}]'),
  ],
  [
    'a negative weight',
    http('route: [{destination: {host: a}, weight: -1}, {destination: {host: b}, weight: 3}]'),
    http('route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 3}]'),
  ],
  [
    'a destination without a host',
    http('route: [{destination: {subset: v1}}]'),
    http('route: [{destination: {host: a, subset: v1}}]'),
  ],
  [
    'a destination that is everybody',
    http('route: [{destination: {host: "*"}}]'),
    http('route: [{destination: {host: "*.a.example"}}]'),
  ],
  [
    'a port beyond the last',
    http('route: [{destination: {host: a, port: {number: 70000}}}]'),
    http('route: [{destination: {host: a, port: {number: 7000}}}]'),
  ],
  [
    'a subset with a space',
    http('route: [{destination: {host: a, subset: "v 1"}}]'),
    http('route: [{destination: {host: a, subset: v1}}]'),
  ],
  [
    'an expression that is none',
    http(`${ROUTE}, match: [{uri: {regex: "["}}]`),
    http(`${ROUTE}, match: [{uri: {regex: "[a]"}}]`),
  ],
  [
    'an empty prefix',
    http(`${ROUTE}, match: [{method: {prefix: ""}}]`),
    http(`${ROUTE}, match: [{method: {prefix: G}}]`),
  ],
  ['an empty expression', http(`${ROUTE}, match: [{uri: {regex: ""}}]`), http(`${ROUTE}, match: [{uri: {regex: a}}]`)],
  [
    'a header match without a value',
    http(`${ROUTE}, match: [{headers: {x-a: null}}]`),
    http(`${ROUTE}, match: [{headers: {x-a: {}}}]`),
  ],
  [
    'a header name with a space',
    http(`${ROUTE}, match: [{headers: {"x a": {exact: b}}}]`),
    http(`${ROUTE}, match: [{headers: {"x-a": {exact: b}}}]`),
  ],
  [
    'a namespace that is none',
    http(`${ROUTE}, match: [{sourceNamespace: "a b"}]`),
    http(`${ROUTE}, match: [{sourceNamespace: ab}]`),
  ],
  [
    'retries without attempts',
    http(`${ROUTE}, retries: {attempts: 0, perTryTimeout: 1s}`),
    http(`${ROUTE}, retries: {attempts: 1, perTryTimeout: 1s}`),
  ],
  ['a time-out below a millisecond', http(`${ROUTE}, timeout: 100us`), http(`${ROUTE}, timeout: 1ms`)],
  [
    'a reason for retries that there is not',
    http(`${ROUTE}, retries: {attempts: 1, retryOn: whenever}`),
    http(`${ROUTE}, retries: {attempts: 1, retryOn: 5xx}`),
  ],
  ['a fault without a fault', http(`${ROUTE}, fault: {}`), http(`${ROUTE}, fault: {delay: {fixedDelay: 1s}}`)],
  [
    'a share beyond all',
    http(`${ROUTE}, fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}`),
    http(`${ROUTE}, fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}}`),
  ],
  [
    'a share too small to count',
    http(`${ROUTE}, fault: {delay: {fixedDelay: 1s, percentage: {value: 0.00001}}}`),
    http(`${ROUTE}, fault: {delay: {fixedDelay: 1s, percentage: {value: 0.0001}}}`),
  ],
  [
    'a status that ends nothing',
    http(`${ROUTE}, fault: {abort: {httpStatus: 100}}`),
    http(`${ROUTE}, fault: {abort: {httpStatus: 200}}`),
  ],
  [
    'a gRPC status that there is not',
    http(`${ROUTE}, fault: {abort: {grpcStatus: SLEEPY}}`),
    http(`${ROUTE}, fault: {abort: {grpcStatus: UNAVAILABLE}}`),
  ],
  [
    'an HTTP/2 error as a fault',
    http(`${ROUTE}, fault: {abort: {http2Error: x}}`),
    http(`${ROUTE}, fault: {abort: {httpStatus: 500}}`),
  ],
  [
    'an exponential delay',
    http(`${ROUTE}, fault: {delay: {exponentialDelay: 1s}}`),
    http(`${ROUTE}, fault: {delay: {fixedDelay: 1s}}`),
  ],
  [
    'mirror and mirrors',
    http(`${ROUTE}, mirror: {host: b}, mirrors: [{destination: {host: c}}]`),
    http(`${ROUTE}, mirrors: [{destination: {host: c}}]`),
  ],
  [
    'a mirror without a destination',
    http(`${ROUTE}, mirrors: [{percentage: {value: 1}}]`),
    http(`${ROUTE}, mirrors: [{destination: {host: b}, percentage: {value: 1}}]`),
  ],
  [
    'more than all mirrored',
    http(`${ROUTE}, mirror: {host: b}, mirrorPercentage: {value: 101}`),
    http(`${ROUTE}, mirror: {host: b}, mirrorPercentage: {value: 100}`),
  ],
  [
    'a CORS age of milliseconds',
    http(`${ROUTE}, corsPolicy: {maxAge: 1500ms}`),
    http(`${ROUTE}, corsPolicy: {maxAge: 2s}`),
  ],
  [
    'a CORS method that there is not',
    http(`${ROUTE}, corsPolicy: {allowMethods: [PUSH]}`),
    http(`${ROUTE}, corsPolicy: {allowMethods: [POST]}`),
  ],
  [
    'a pseudo header that is set',
    http(`${ROUTE}, headers: {request: {set: {":path": x}}}`),
    http(`${ROUTE}, headers: {request: {set: {"x-path": x}}}`),
  ],
  [
    'a header that is taken away with a colon',
    http(`${ROUTE}, headers: {request: {remove: [":path"]}}`),
    http(`${ROUTE}, headers: {request: {remove: ["x-path"]}}`),
  ],
  [
    'an answer of more than a megabyte',
    http(`directResponse: {status: 200, body: {string: "${'x'.repeat(1024 * 1024 + 1)}"}}`),
    http('directResponse: {status: 200, body: {string: x}}'),
  ],
  [
    'an answer without a status',
    http('directResponse: {body: {string: x}}'),
    http('directResponse: {status: 200, body: {string: x}}'),
  ],
  [
    'a bare * for all sidecars',
    `{hosts: ["*"], http: [{${ROUTE}}]}`,
    `{hosts: ["*"], gateways: [g], http: [{${ROUTE}}]}`,
  ],
  ['a host twice', `{hosts: [a.b, a.b], http: [{${ROUTE}}]}`, `{hosts: [a.b, c.b], http: [{${ROUTE}}]}`],
  [
    'a host and what covers it',
    `{hosts: ["*.b", a.b], http: [{${ROUTE}}]}`,
    `{hosts: ["*.b", a.c], http: [{${ROUTE}}]}`,
  ],
  ['a wildcard in the middle', `{hosts: ["a.*.b"], http: [{${ROUTE}}]}`, `{hosts: ["*.b"], http: [{${ROUTE}}]}`],
  [
    'a gateway of no namespace',
    `{hosts: [a], gateways: [/g], http: [{${ROUTE}}]}`,
    `{hosts: [a], gateways: [n/g], http: [{${ROUTE}}]}`,
  ],
  [
    'exported to all and to one',
    `{hosts: [a], exportTo: ["*", b], http: [{${ROUTE}}]}`,
    `{hosts: [a], exportTo: ["*"], http: [{${ROUTE}}]}`,
  ],
  [
    'exported to one twice',
    `{hosts: [a], exportTo: [b, b], http: [{${ROUTE}}]}`,
    `{hosts: [a], exportTo: [b], http: [{${ROUTE}}]}`,
  ],
  [
    'TLS without a name to match',
    `{hosts: [a.b], tls: [{match: [{port: 443}], ${ROUTE}}]}`,
    `{hosts: [a.b], tls: [{match: [{port: 443, sniHosts: [a.b]}], ${ROUTE}}]}`,
  ],
  [
    'TLS without a match',
    `{hosts: [a.b], tls: [{${ROUTE}}]}`,
    `{hosts: [a.b], tls: [{match: [{sniHosts: [a.b]}], ${ROUTE}}]}`,
  ],
  [
    'TLS to nowhere',
    '{hosts: [a.b], tls: [{match: [{sniHosts: [a.b]}]}]}',
    `{hosts: [a.b], tls: [{match: [{sniHosts: [a.b]}], ${ROUTE}}]}`,
  ],
  [
    'a server name that is of no host',
    `{hosts: [a.b], tls: [{match: [{sniHosts: [c.d]}], ${ROUTE}}]}`,
    `{hosts: ["*.d"], tls: [{match: [{sniHosts: [c.d]}], ${ROUTE}}]}`,
  ],
  [
    'TCP to nowhere',
    '{hosts: [a.b], tcp: [{match: [{port: 1}]}]}',
    `{hosts: [a.b], tcp: [{match: [{port: 1}], ${ROUTE}}]}`,
  ],
  [
    'a block of addresses that is none',
    `{hosts: [a.b], tcp: [{match: [{destinationSubnets: [10.0.0.0/40]}], ${ROUTE}}]}`,
    `{hosts: [a.b], tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], ${ROUTE}}]}`,
  ],
  ['a delegate with gateways', `{gateways: [g], http: [{${ROUTE}}]}`, `{http: [{${ROUTE}}]}`],
  ['a delegate with TLS', `{tls: [{match: [{sniHosts: [a.b]}], ${ROUTE}}]}`, `{http: [{${ROUTE}}]}`],
  ['a delegate that delegates', '{http: [{delegate: {name: x}}]}', `{http: [{${ROUTE}}]}`],
  ['a delegate and a route', http(`delegate: {name: x}, ${ROUTE}`), http('delegate: {name: x}')],
  ['a delegate and a redirect', http('delegate: {name: x}, redirect: {uri: /x}'), http('delegate: {name: x}')],
];

const policy = (fields: string) => `{host: a, trafficPolicy: {${fields}}}`;
const DESTINATION_RULE: readonly Rule[] = [
  ['no host', '{trafficPolicy: {tls: {mode: SIMPLE}}}', policy('tls: {mode: SIMPLE}')],
  ['a policy of nothing', '{host: a, trafficPolicy: {}}', policy('tls: {mode: SIMPLE}')],
  ['pools of nothing', policy('connectionPool: {}'), policy('connectionPool: {tcp: {maxConnections: 1}}')],
  [
    'a negative limit',
    policy('connectionPool: {http: {maxRetries: -1}}'),
    policy('connectionPool: {http: {maxRetries: 1}}'),
  ],
  ['a subset twice', '{host: a, subsets: [{name: x}, {name: x}]}', '{host: a, subsets: [{name: x}, {name: y}]}'],
  [
    'a subset without a name',
    '{host: a, subsets: [{labels: {v: x}}]}',
    '{host: a, subsets: [{name: x, labels: {v: x}}]}',
  ],
  [
    'a label that is none',
    '{host: a, subsets: [{name: x, labels: {v: "a b"}}]}',
    '{host: a, subsets: [{name: x, labels: {v: ab}}]}',
  ],
  [
    'MUTUAL without its files',
    policy('tls: {mode: MUTUAL}'),
    policy('tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}'),
  ],
  [
    'MUTUAL with half of its files',
    policy('tls: {mode: MUTUAL, clientCertificate: /c}'),
    policy('tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}'),
  ],
  [
    'ISTIO_MUTUAL with files',
    policy('tls: {mode: ISTIO_MUTUAL, clientCertificate: /c, privateKey: /k}'),
    policy('tls: {mode: ISTIO_MUTUAL}'),
  ],
  [
    'a secret and files',
    policy('tls: {mode: MUTUAL, credentialName: c, clientCertificate: /c, privateKey: /k}'),
    policy('tls: {mode: MUTUAL, credentialName: c}'),
  ],
  [
    'roots that insecureSkipVerify makes useless',
    policy('tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca}'),
    policy('tls: {mode: SIMPLE, caCertificates: /ca}'),
  ],
  [
    'a cookie without a name',
    policy('loadBalancer: {consistentHash: {httpCookie: {ttl: 1s}}}'),
    policy('loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1s}}}'),
  ],
  [
    'a table of no prime size',
    policy('loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1000}}}'),
    policy('loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1009}}}'),
  ],
  [
    'a table beyond the largest',
    policy('loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000077}}}'),
    policy('loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}'),
  ],
  [
    'two balancers at once',
    policy('loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}'),
    policy('loadBalancer: {consistentHash: {useSourceIp: true}}'),
  ],
  [
    'a warm-up without a duration',
    policy('loadBalancer: {simple: ROUND_ROBIN, warmup: {minimumPercent: 10}}'),
    policy('loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1m, minimumPercent: 10}}'),
  ],
  [
    'a warm-up from more than all',
    policy('loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1m, minimumPercent: 110}}'),
    policy('loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1m, minimumPercent: 100}}'),
  ],
  [
    'distribution that is not a hundred',
    policy('loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 50}}]}}'),
    policy('loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 100}}]}}'),
  ],
  [
    'distribution from a place twice',
    policy(
      'loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 100}}, {from: r/*, to: {r/*: 100}}]}}',
    ),
    policy('loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 100}}]}}'),
  ],
  [
    'distribution over what overlaps',
    policy('loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/*: 50, r/z/*: 50}}]}}'),
    policy('loadBalancer: {localityLbSetting: {distribute: [{from: r/*, to: {r/z/*: 50, r/y/*: 50}}]}}'),
  ],
  [
    'failover to the same region',
    policy('outlierDetection: {interval: 1s}, loadBalancer: {localityLbSetting: {failover: [{from: r, to: r}]}}'),
    policy('outlierDetection: {interval: 1s}, loadBalancer: {localityLbSetting: {failover: [{from: r, to: s}]}}'),
  ],
  [
    'a policy for no port',
    policy('portLevelSettings: [{tls: {mode: SIMPLE}}]'),
    policy('portLevelSettings: [{port: {number: 1}, tls: {mode: SIMPLE}}]'),
  ],
  [
    'a policy of nothing for a port',
    policy('portLevelSettings: [{port: {number: 1}}]'),
    policy('portLevelSettings: [{port: {number: 1}, tls: {mode: SIMPLE}}]'),
  ],
  [
    'a tunnel and the PROXY protocol',
    policy('tunnel: {targetHost: a.b, targetPort: 1}, proxyProtocol: {version: V1}'),
    policy('tunnel: {targetHost: a.b, targetPort: 1}'),
  ],
  [
    'a tunnel by another method',
    policy('tunnel: {protocol: GET, targetHost: a.b, targetPort: 1}'),
    policy('tunnel: {protocol: POST, targetHost: a.b, targetPort: 1}'),
  ],
  ['a tunnel without a port', policy('tunnel: {targetHost: a.b}'), policy('tunnel: {targetHost: a.b, targetPort: 1}')],
  [
    'a share of endpoints beyond all',
    policy('outlierDetection: {maxEjectionPercent: 101}'),
    policy('outlierDetection: {maxEjectionPercent: 100}'),
  ],
  [
    'useClientProtocol with an upgrade',
    policy('connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}'),
    policy('connectionPool: {http: {useClientProtocol: true}}'),
  ],
  [
    'a selector with an export',
    '{host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: [other], trafficPolicy: {tls: {mode: SIMPLE}}}',
    '{host: a, workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE}}}',
  ],
  [
    'a selector with a wildcard',
    '{host: a, workloadSelector: {matchLabels: {a: "*"}}, trafficPolicy: {tls: {mode: SIMPLE}}}',
    '{host: a, workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE}}}',
  ],
];

describeRules({ VirtualService: VIRTUAL_SERVICE, DestinationRule: DESTINATION_RULE });
