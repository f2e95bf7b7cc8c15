// SPDX-License-Identifier: Apache-2.0
// ServerTLSSettings: https://istio.io/latest/docs/reference/config/networking/gateway/#ServerTLSSettings
import { isIP } from 'node:net';
import {
  type At,
  bool,
  checked,
  choice,
  defaulted,
  type Infer,
  idle,
  list,
  optional,
  type Shape,
  struct,
  text,
} from './shape.ts';

const MODES = ['PASSTHROUGH', 'AUTO_PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL', 'ISTIO_MUTUAL'] as const;
const VERSIONS = ['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'] as const;

/** What Envoy's TLS library has for TLS 1.2 and below; the suites of TLS 1.3 cannot be chosen. */
const CIPHER_NAMES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
] as const;
const CIPHER_SUITES: ReadonlySet<string> = new Set(CIPHER_NAMES);
const CURVES = ['X25519', 'P-256', 'P-384', 'P-521', 'X25519MLKEM768'] as const;

/** `tlsDefaults` of the mesh: of TLS that is not the mesh's own, what its settings do not say. */
export const tlsDefaults = struct({
  minProtocolVersion: defaulted(choice(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']), 'TLS_AUTO'),
  cipherSuites: defaulted(list(choice(CIPHER_NAMES)), []),
  ecdhCurves: defaulted(list(choice(CURVES)), []),
});
export type TlsDefaults = Infer<typeof tlsDefaults>;

/** The name of a Secret in the proxy's own namespace. */
const credential: Shape<string> = text({
  pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
  what: 'the name of a Secret in the namespace of the gateway’s pods',
});
const path: Shape<string> = text({ pattern: /^\/.+/, what: 'a file in the proxy, from the root' });
const certificateFiles = struct({
  serverCertificate: optional(path),
  privateKey: optional(path),
  caCertificates: idle('clients are verified by one bundle: give it by caCertificates beside tlsCertificates'),
});

export const serverTls = checked(
  struct({
    mode: defaulted(choice(MODES), 'PASSTHROUGH'),
    httpsRedirect: defaulted(bool, false),
    credentialName: optional(credential),
    credentialNames: defaulted(list(credential, { min: 1 }), []),
    caCertCredentialName: optional(credential),
    serverCertificate: optional(path),
    privateKey: optional(path),
    caCertificates: optional(path),
    tlsCertificates: defaulted(list(certificateFiles), []),
    caCrl: optional(path),
    subjectAltNames: defaulted(list(text()), []),
    verifyCertificateSpki: defaulted(
      list(text({ pattern: /^[A-Za-z0-9+/]{43}=$/, what: 'a SHA-256 in base64, 44 characters' })),
      [],
    ),
    verifyCertificateHash: defaulted(
      list(text({ pattern: /^([0-9a-f]{2}:?){31}[0-9a-f]{2}$/i, what: 'a SHA-256 in hexadecimal digits' })),
      [],
    ),
    insecureSkipVerify: optional(bool),
    minProtocolVersion: defaulted(choice(VERSIONS), 'TLS_AUTO'),
    maxProtocolVersion: defaulted(choice(VERSIONS), 'TLS_AUTO'),
    cipherSuites: defaulted(list(text()), []),
    ecdhCurves: defaulted(list(choice(CURVES)), []),
  }),
  (value, at) => {
    checkVersions(value, at);
    checkCiphers(value, at);
    if (value.mode === 'ISTIO_MUTUAL') refuseOwnKeys(value, at);
    else if (isPassed(value)) tellUnusedKeys(value, at);
    else checkKeys(value, at);
    if (!verifiesClients(value)) tellUnusedVerification(value, at);
    if (value.mode === 'OPTIONAL_MUTUAL' && value.subjectAltNames.length > 0) {
      const message = 'a client without a certificate has none of these names, so that one is demanded after all';
      at.report.add('ISM0005', `${at.field}.subjectAltNames`, message, 'remove it, or use mode MUTUAL');
    }
  },
);
export type ServerTls = Infer<typeof serverTls>;

/** TLS that goes on unopened. */
export function isPassed({ mode }: Pick<ServerTls, 'mode'>): boolean {
  return mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH';
}

export function verifiesClients({ mode }: Pick<ServerTls, 'mode'>): boolean {
  return mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL' || mode === 'ISTIO_MUTUAL';
}

/** Of those that were written, the suites that there are, each once. */
export function knownCipherSuites({ cipherSuites }: Pick<ServerTls, 'cipherSuites'>): string[] {
  return [...new Set(cipherSuites.filter((name) => CIPHER_SUITES.has(name)))];
}

const OWN_KEYS = [
  'credentialName',
  'credentialNames',
  'serverCertificate',
  'privateKey',
  'caCertificates',
  'tlsCertificates',
  'caCertCredentialName',
] as const;

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
}

function refuseOwnKeys(value: ServerTls, at: At): void {
  for (const name of OWN_KEYS) {
    if (!isSet(value[name])) continue;
    const message = 'ISTIO_MUTUAL uses the certificates of the mesh';
    at.report.add('ISM0007', `${at.field}.${name}`, message, `remove ${name}, or use mode MUTUAL`);
  }
}

function tellUnusedKeys(value: ServerTls, at: At): void {
  for (const name of [...OWN_KEYS, 'caCrl'] as const) {
    if (!isSet(value[name])) continue;
    const message = `${value.mode} does not open the TLS: no certificate is used`;
    at.report.add('ISM0005', `${at.field}.${name}`, message, `remove ${name}, or use mode SIMPLE`);
  }
}

function checkKeys(value: ServerTls, at: At): void {
  const { mode, credentialName, credentialNames, serverCertificate, privateKey, tlsCertificates } = value;
  const bySecret = credentialName !== undefined || credentialNames.length > 0;
  const sources = [
    credentialName !== undefined,
    credentialNames.length > 0,
    serverCertificate !== undefined || privateKey !== undefined,
    tlsCertificates.length > 0,
  ].filter((given) => given);
  if (sources.length > 1) {
    const message =
      'credentialName, credentialNames, serverCertificate with privateKey, and tlsCertificates exclude one another';
    at.report.add('ISM0007', at.field, message, 'keep one of them');
  }
  checkMost(credentialNames, 'credentialNames', at);
  checkMost(tlsCertificates, 'tlsCertificates', at);
  if (value.caCrl !== undefined && bySecret) {
    const message = 'with credentialName the revocation list is part of the Secret';
    at.report.add('ISM0007', `${at.field}.caCrl`, message, 'put it into the Secret under ca.crl, and remove caCrl');
  }
  if (value.caCrl !== undefined && mode === 'SIMPLE') {
    at.report.add(
      'ISM0007',
      `${at.field}.caCrl`,
      'SIMPLE asks for no client certificates',
      'use MUTUAL, or remove caCrl',
    );
  }
  if (value.caCertCredentialName !== undefined && !bySecret) {
    const cure = 'use caCertificates beside files, or credentialName';
    at.report.add('ISM0007', `${at.field}.caCertCredentialName`, 'it goes with credentialName only', cure);
  }
  if (!bySecret) checkFiles(value, at);
}

/** One for RSA and one for ECDSA. */
function checkMost(names: readonly unknown[], field: string, at: At): void {
  if (names.length <= 2) return;
  at.report.add('ISM0006', `${at.field}.${field}`, `it has ${names.length} entries`, 'keep two: one RSA, one ECDSA');
}

function checkFiles(value: ServerTls, at: At): void {
  const { mode, tlsCertificates, caCertificates } = value;
  const need = (field: string, given: string | undefined) => {
    if (given !== undefined) return;
    const cure = `set ${field}, or credentialName to the name of a Secret`;
    at.report.add('ISM0001', `${at.field}.${field}`, `${mode} needs a certificate and its key`, cure);
  };
  if (tlsCertificates.length === 0) {
    need('serverCertificate', value.serverCertificate);
    need('privateKey', value.privateKey);
  }
  tlsCertificates.forEach((files, i) => {
    need(`tlsCertificates[${i}].serverCertificate`, files.serverCertificate);
    need(`tlsCertificates[${i}].privateKey`, files.privateKey);
  });
  if (mode !== 'SIMPLE' && caCertificates === undefined) {
    const cure = 'set caCertificates, or credentialName to a Secret with ca.crt';
    at.report.add(
      'ISM0001',
      `${at.field}.caCertificates`,
      `${mode} needs the roots of its clients’ certificates`,
      cure,
    );
  }
}

function tellUnusedVerification(value: ServerTls, at: At): void {
  for (const name of [
    'subjectAltNames',
    'verifyCertificateSpki',
    'verifyCertificateHash',
    'insecureSkipVerify',
  ] as const) {
    if (!isSet(value[name])) continue;
    const message = `${value.mode} asks for no client certificates`;
    at.report.add('ISM0005', `${at.field}.${name}`, message, `remove ${name}, or use mode MUTUAL`);
  }
}

function checkVersions({ minProtocolVersion: min, maxProtocolVersion: max, cipherSuites }: ServerTls, at: At): void {
  const rank = (version: (typeof VERSIONS)[number]) => VERSIONS.indexOf(version);
  if (max !== 'TLS_AUTO' && rank(min === 'TLS_AUTO' ? 'TLSV1_2' : min) > rank(max)) {
    const message = `${max} is below the lowest version, ${min === 'TLS_AUTO' ? 'TLSV1_2' : min}`;
    at.report.add('ISM0007', `${at.field}.maxProtocolVersion`, message, 'raise it, or lower minProtocolVersion');
  }
  if ((min === 'TLSV1_0' || min === 'TLSV1_1') && cipherSuites.length === 0) {
    const message = `${min} has no cipher suite among those in use without cipherSuites`;
    at.report.add(
      'ISM0005',
      `${at.field}.minProtocolVersion`,
      message,
      'add ECDHE-RSA-AES128-SHA, say, to cipherSuites',
    );
  }
}

function checkCiphers({ cipherSuites }: ServerTls, at: At): void {
  cipherSuites.forEach((name, i) => {
    const field = `${at.field}.cipherSuites[${i}]`;
    if (!CIPHER_SUITES.has(name)) {
      const cure = `use some of ${[...CIPHER_SUITES].join(', ')}`;
      at.report.add('ISM0005', field, `${JSON.stringify(name)} is no cipher suite that Envoy has`, cure);
    } else if (cipherSuites.indexOf(name) < i) {
      at.report.add('ISM0005', field, `${name} is there already`, 'remove one of them');
    }
  });
}

const UNIX = 'unix://';

/** '' where it is an address of IP. */
export function unixPath(bind: string): string {
  return bind.startsWith(UNIX) ? bind.slice(UNIX.length) : '';
}

/** An IP address, or `unix://` with a path or, after an @, a name in Linux' abstract namespace. */
export const bindAddress: Shape<string> = {
  schema: { type: 'string' },
  decode(raw, at) {
    if (typeof raw === 'string' && isIP(raw) !== 0) return raw;
    if (typeof raw === 'string' && /^unix:\/\/(\/[^/].*|@.+)$/.test(raw) && raw.length <= 100) return raw;
    const cure = 'write an IP address, unix:///PATH or unix://@NAME (up to 100 characters)';
    at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no address to listen on`, cure);
    return undefined;
  },
};
