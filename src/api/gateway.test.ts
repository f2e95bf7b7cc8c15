// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { validateObject } from './validate.ts';
import { parseYamlObjects } from './yaml-documents.ts';

/** `server` is one entry of spec.servers in YAML's flow form. */
function said(server: string, name = 'edge'): string[] {
  const yaml = `apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: ${name}, namespace: default}\nspec:\n  servers:\n  - ${server}\n`;
  const [parsed] = parseYamlObjects(yaml).objects;
  return validateObject(parsed!.object).map(({ code, severity, field }) => {
    return `${severity === 'warning' ? 'warning ' : ''}${code} ${field.replace('spec.servers[0].', '')}`;
  });
}

const port = (number: number, protocol: string) =>
  `port: {number: ${number}, name: p, protocol: ${protocol}}, hosts: ["*"]`;
const https = (tls: string) => `{${port(443, 'HTTPS')}, tls: {${tls}}}`;

test.each([
  ['HTTP', '{hosts: [a.example, x/b.example, ./c.example, "*/*"], port: {number: 80, name: p, protocol: http}}', []],
  ['a redirect', `{${port(80, 'HTTP')}, tls: {httpsRedirect: true}}`, []],
  ['TLS of plain HTTP', `{${port(80, 'HTTP')}, tls: {mode: SIMPLE, credentialName: c}}`, ['ISM0007 tls']],
  ['TLS of TCP', `{${port(80, 'TCP')}, tls: {mode: SIMPLE, credentialName: c}}`, ['ISM0007 tls']],
  ['HTTPS without tls', `{${port(443, 'HTTPS')}}`, ['ISM0001 tls']],
  [
    'a redirect of HTTPS',
    https('mode: SIMPLE, credentialName: c, httpsRedirect: true'),
    ['warning ISM0005 tls.httpsRedirect'],
  ],
  ['UDP', `{${port(53, 'UDP')}}`, ['ISM0006 port.protocol']],
  ['no name', '{port: {number: 80, protocol: HTTP}, hosts: ["*"]}', ['ISM0001 port.name']],
  [
    'targetPort',
    '{port: {number: 80, name: p, protocol: HTTP, targetPort: 8080}, hosts: ["*"]}',
    ['ISM0004 port.targetPort'],
  ],
  ['defaultEndpoint', `{${port(80, 'HTTP')}, defaultEndpoint: "127.0.0.1:80"}`, ['ISM0004 defaultEndpoint']],
  ['bind', `{${port(80, 'HTTP')}, bind: 10.0.0.1}`, []],
  ['a name to bind to', `{${port(80, 'HTTP')}, bind: example.com}`, ['ISM0006 bind']],
  ['a Unix socket', `{${port(0, 'HTTP')}, bind: "unix:///run/edge.sock"}`, []],
  ['a Unix socket with a port', `{${port(80, 'HTTP')}, bind: "unix:///run/edge.sock"}`, ['ISM0006 port.number']],
  ['port 0', `{${port(0, 'HTTP')}}`, ['ISM0006 port.number']],
  ['15443', `{${port(15443, 'HTTP')}}`, ['warning ISM0013 port.number']],
  ['15443 of TLS', `{${port(15443, 'TLS')}, tls: {mode: AUTO_PASSTHROUGH}}`, ['warning ISM0013 port.number']],
  ['a bad namespace', '{port: {number: 80, name: p, protocol: HTTP}, hosts: ["A_B/x.example"]}', ['ISM0006 hosts[0]']],
  ['SIMPLE', https('mode: SIMPLE, credentialName: c'), []],
  ['SIMPLE by files', https('mode: SIMPLE, serverCertificate: /c, privateKey: /k'), []],
  ['SIMPLE by nothing', https('mode: SIMPLE'), ['ISM0001 tls.serverCertificate', 'ISM0001 tls.privateKey']],
  ['both sources', https('mode: SIMPLE, credentialName: c, serverCertificate: /c, privateKey: /k'), ['ISM0007 tls']],
  ['three Secrets', https('mode: SIMPLE, credentialNames: [a, b, c]'), ['ISM0006 tls.credentialNames']],
  [
    'two by files',
    https('mode: SIMPLE, tlsCertificates: [{serverCertificate: /c, privateKey: /k}, {serverCertificate: /c}]'),
    ['ISM0001 tls.tlsCertificates[1].privateKey'],
  ],
  ['MUTUAL by a Secret', https('mode: MUTUAL, credentialName: c, caCertCredentialName: d, subjectAltNames: [a]'), []],
  [
    'MUTUAL by files without roots',
    https('mode: MUTUAL, serverCertificate: /c, privateKey: /k'),
    ['ISM0001 tls.caCertificates'],
  ],
  [
    'roots by a Secret beside files',
    https('mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /r, caCertCredentialName: d'),
    ['ISM0007 tls.caCertCredentialName'],
  ],
  ['a list of the revoked beside a Secret', https('mode: MUTUAL, credentialName: c, caCrl: /r'), ['ISM0007 tls.caCrl']],
  [
    'a list of the revoked for nobody',
    https('mode: SIMPLE, serverCertificate: /c, privateKey: /k, caCrl: /r'),
    ['ISM0007 tls.caCrl'],
  ],
  ['OPTIONAL_MUTUAL', https('mode: OPTIONAL_MUTUAL, credentialName: c, insecureSkipVerify: true'), []],
  [
    'OPTIONAL_MUTUAL with names',
    https('mode: OPTIONAL_MUTUAL, credentialName: c, subjectAltNames: [a]'),
    ['warning ISM0005 tls.subjectAltNames'],
  ],
  [
    'verification of nobody',
    https('mode: SIMPLE, credentialName: c, subjectAltNames: [a]'),
    ['warning ISM0005 tls.subjectAltNames'],
  ],
  ['ISTIO_MUTUAL', https('mode: ISTIO_MUTUAL, subjectAltNames: [a]'), []],
  ['ISTIO_MUTUAL with a Secret', https('mode: ISTIO_MUTUAL, credentialName: c'), ['ISM0007 tls.credentialName']],
  ['PASSTHROUGH with a Secret', https('mode: PASSTHROUGH, credentialName: c'), ['warning ISM0005 tls.credentialName']],
  [
    'versions',
    https('mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2'),
    ['ISM0007 tls.maxProtocolVersion'],
  ],
  [
    'an old version',
    https('mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_1'),
    ['warning ISM0005 tls.minProtocolVersion'],
  ],
  [
    'cipher suites',
    https('mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, NONE, AES128-SHA]'),
    ['warning ISM0005 tls.cipherSuites[1]', 'warning ISM0005 tls.cipherSuites[2]'],
  ],
  ['curves', https('mode: SIMPLE, credentialName: c, ecdhCurves: [P-256, P-1]'), ['ISM0006 tls.ecdhCurves[1]']],
  [
    'hashes',
    https('mode: MUTUAL, credentialName: c, verifyCertificateHash: [ab], verifyCertificateSpki: [ab]'),
    ['ISM0006 tls.verifyCertificateSpki[0]', 'ISM0006 tls.verifyCertificateHash[0]'],
  ],
])('%s: %s', (_, server, expected) => {
  expect(said(server)).toEqual(expected);
});

test('names are DNS labels, and those of ports unique', () => {
  const server = `{${port(80, 'HTTP')}}`;
  expect(said(server, 'a.b')).toEqual(['ISM0006 metadata.name']);
  expect(said(`${server}\n  - ${server}`)).toEqual(['ISM0009 spec.servers[1].port.name']);
});
