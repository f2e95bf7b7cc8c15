// SPDX-License-Identifier: Apache-2.0
// ClientTLSSettings: how clients speak TLS with a service
// (https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings).
import {
  type At,
  bool,
  checked,
  defaulted,
  type Infer,
  list,
  optional,
  struct,
  supportedChoice,
  text,
} from './shape.ts';

const settings = struct({
  mode: defaulted(supportedChoice(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'], {}), 'DISABLE'),
  clientCertificate: optional(text()),
  privateKey: optional(text()),
  caCertificates: optional(text()),
  credentialName: optional(text()),
  subjectAltNames: defaulted(list(text()), []),
  sni: optional(text()),
  insecureSkipVerify: optional(bool),
  caCrl: optional(text()),
});

export const clientTls = checked(settings, (tls, at) => {
  switch (tls.mode) {
    case 'DISABLE':
      break;
    case 'ISTIO_MUTUAL':
      checkMeshTls(tls, at);
      break;
    case 'SIMPLE':
    case 'MUTUAL':
      checkOwnTls(tls, at);
  }
});
export type TlsSettings = Infer<typeof clientTls>;

const FILES = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const;

function checkMeshTls(tls: TlsSettings, at: At): void {
  if (FILES.every((file) => !tls[file]) && !tls.credentialName) return;
  const cure = 'remove the file names, or use MUTUAL';
  at.report.add('ISM0007', at.field, 'ISTIO_MUTUAL uses the certificates of the mesh', cure);
}

function checkOwnTls(tls: TlsSettings, at: At): void {
  const given = FILES.filter((file) => tls[file]);
  if (tls.insecureSkipVerify === true) {
    const useless = (['caCertificates', 'caCrl'] as const).filter((name) => tls[name]) as string[];
    if (tls.subjectAltNames.length > 0) useless.push('subjectAltNames');
    if (tls.mode === 'SIMPLE' && tls.credentialName) useless.push('credentialName');
    if (useless.length > 0) {
      const message = `insecureSkipVerify makes ${useless.join(' and ')} useless`;
      at.report.add('ISM0007', at.field, message, `keep ${useless.join(' and ')}, or insecureSkipVerify`);
    }
  }
  if (tls.credentialName) {
    if (given.length > 0) {
      const message = `credentialName and ${given.join(', ')} exclude one another`;
      at.report.add('ISM0007', at.field, message, 'keep the Secret, or the files');
    }
    if (tls.credentialName.startsWith('configmap://')) {
      const cure = 'name a Secret that has the certificates as ca.crt';
      at.report.add('ISM0004', `${at.field}.credentialName`, 'a ConfigMap is not supported here', cure);
    }
    return;
  }
  if (tls.mode === 'MUTUAL' && (!tls.clientCertificate || !tls.privateKey)) {
    const cure = 'add clientCertificate and privateKey, or credentialName';
    at.report.add('ISM0001', at.field, 'MUTUAL needs a certificate and a key', cure);
  }
  if (tls.mode === 'SIMPLE' && (tls.clientCertificate || tls.privateKey)) {
    const cure = 'use MUTUAL to show a certificate to the server';
    at.report.add('ISM0005', at.field, 'SIMPLE does not use clientCertificate and privateKey', cure);
  }
}
