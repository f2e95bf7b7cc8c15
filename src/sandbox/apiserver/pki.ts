// SPDX-License-Identifier: Apache-2.0
// The keys and certificates of one sandbox cluster: one CA, who serves, who calls, and the service-account signing key.
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type CertificateRequest, generateKeyPair, issueCertificate, privateKeyPem } from '../../pki/x509.ts';
import { writeAtomically } from '../atomic-file.ts';

export interface ClusterPkiOptions {
  /** Also the context of the kubeconfigs and the stem of the node's name. */
  readonly clusterName: string;
  /** URL written into every kubeconfig: https://172.31.0.11:6443 */
  readonly server: string;
  /** IP addresses that the API server and the kubelet are reached at, besides loopback and 10.96.0.1. */
  readonly addresses: readonly string[];
  /** DNS names besides kubernetes.default.svc and its shorter forms. */
  readonly dnsNames: readonly string[];
  /** Certificates are issued, and judged old, by this clock. */
  readonly now?: Date;
}

export const KUBECONFIG_NAMES = ['admin', 'controllers', 'node', 'net'] as const;
export type KubeconfigName = (typeof KUBECONFIG_NAMES)[number];

/** Where the files of a cluster lie under its data directory. */
export interface PkiPaths {
  readonly caCert: string;
  readonly caKey: string;
  readonly servingCert: string;
  readonly servingKey: string;
  /** ES256 key that signs service-account tokens (PKCS#8). */
  readonly serviceAccountKey: string;
  /** What the kubelet serves with. */
  readonly kubeletCert: string;
  readonly kubeletKey: string;
  /** What the API server shows to the kubelet. */
  readonly kubeletClientCert: string;
  readonly kubeletClientKey: string;
  readonly kubeconfig: Readonly<Record<KubeconfigName, string>>;
}

/** The CN that the API server shows to kubelets. A kubelet must refuse every other one: the CA signs all identities. */
export const KUBELET_CLIENT_NAME = 'kube-apiserver-kubelet-client';

const ALWAYS_DNS_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
];
const ALWAYS_ADDRESSES = ['127.0.0.1', '10.96.0.1'];
const DAY_MS = 24 * 3600 * 1000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;
/** A certificate with less than this left is issued anew at the next start. */
const RENEW_BEFORE_DAYS = 30;
/** Clocks of containers and hosts differ a little. */
const BACKDATE_MS = 5 * 60 * 1000;

export function pkiPaths(dataDir: string): PkiPaths {
  const pki = (file: string) => join(dataDir, 'pki', file);
  const kubeconfig = (name: KubeconfigName) => join(dataDir, 'kubeconfig', `${name}.yaml`);
  return {
    caCert: pki('ca.crt'),
    caKey: pki('ca.key'),
    servingCert: pki('apiserver.crt'),
    servingKey: pki('apiserver.key'),
    serviceAccountKey: pki('sa.key'),
    kubeletCert: pki('kubelet.crt'),
    kubeletKey: pki('kubelet.key'),
    kubeletClientCert: pki('apiserver-kubelet-client.crt'),
    kubeletClientKey: pki('apiserver-kubelet-client.key'),
    kubeconfig: {
      admin: kubeconfig('admin'),
      controllers: kubeconfig('controllers'),
      node: kubeconfig('node'),
      net: kubeconfig('net'),
    },
  };
}

/** The name of a cluster's one node. */
export function nodeName(clusterName: string): string {
  return `${clusterName}-node`;
}

/**
 * Makes what is missing, unreadable, of another CA, near its end, or for other names, and keeps the rest, so that it may
 * be called before every start. Each file is replaced atomically and the key comes before its certificate: being killed
 * in between only means that the next call issues that certificate again. Files are 0600, directories 0700.
 */
export function ensureClusterPki(dataDir: string, options: ClusterPkiOptions): PkiPaths {
  const paths = pkiPaths(dataDir);
  for (const directory of [dirname(paths.caKey), dirname(paths.kubeconfig.admin)]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
  const now = options.now ?? new Date();
  const ca = ensureCa(paths, options.clusterName, now);
  ensureKey(paths.serviceAccountKey);
  const leaf = { ca, now };
  const node = `system:node:${nodeName(options.clusterName)}`;
  ensureLeaf(paths.servingKey, paths.servingCert, leaf, {
    subject: { commonName: 'kube-apiserver' },
    dnsNames: unique([...ALWAYS_DNS_NAMES, ...options.dnsNames]),
    ipAddresses: unique([...ALWAYS_ADDRESSES, ...options.addresses]),
    usages: ['serverAuth'],
  });
  ensureLeaf(paths.kubeletKey, paths.kubeletCert, leaf, {
    subject: { commonName: node, organization: 'system:nodes' },
    dnsNames: [nodeName(options.clusterName), 'localhost'],
    ipAddresses: unique(['127.0.0.1', ...options.addresses]),
    usages: ['serverAuth'],
  });
  ensureLeaf(paths.kubeletClientKey, paths.kubeletClientCert, leaf, {
    subject: { commonName: KUBELET_CLIENT_NAME },
    usages: ['clientAuth'],
  });
  const subjects: Record<KubeconfigName, CertificateRequest['subject']> = {
    admin: { commonName: 'admin', organization: 'system:masters' },
    controllers: { commonName: 'system:kube-controller-manager' },
    node: { commonName: node, organization: 'system:nodes' },
    net: { commonName: 'system:isthmus-net' },
  };
  for (const name of KUBECONFIG_NAMES) {
    ensureKubeconfig(paths.kubeconfig[name], name, options, leaf, { subject: subjects[name], usages: ['clientAuth'] });
  }
  return paths;
}

interface Ca {
  readonly certPem: string;
  readonly key: KeyObject;
}

/** What a leaf needs besides its request. */
interface Issuing {
  readonly ca: Ca;
  readonly now: Date;
}

type LeafRequest = Pick<CertificateRequest, 'subject' | 'dnsNames' | 'ipAddresses' | 'usages'>;

function ensureCa(paths: PkiPaths, clusterName: string, now: Date): Ca {
  const key = ensureKey(paths.caKey);
  const existing = readCertificate(paths.caCert);
  if (
    existing?.ca &&
    existing.checkPrivateKey(key) &&
    existing.verify(createPublicKey(key)) &&
    isFresh(existing, now)
  ) {
    return { certPem: existing.toString(), key };
  }
  const certPem = issueCertificate({
    subject: { commonName: `${clusterName}-ca` },
    publicKey: createPublicKey(key),
    selfKey: key,
    isCa: true,
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + CA_DAYS * DAY_MS),
  });
  writeAtomically(paths.caCert, certPem);
  return { certPem, key };
}

function ensureKey(path: string): KeyObject {
  const existing = readKey(readIfThere(path));
  if (existing) return existing;
  const { privateKey } = generateKeyPair();
  writeAtomically(path, privateKeyPem(privateKey));
  return privateKey;
}

function ensureLeaf(keyPath: string, certPath: string, issuing: Issuing, request: LeafRequest): void {
  const key = ensureKey(keyPath);
  const existing = readCertificate(certPath);
  if (existing && isUsable(existing, key, issuing, request)) return;
  writeAtomically(certPath, issueLeaf(key, issuing, request));
}

function issueLeaf(key: KeyObject, { ca, now }: Issuing, request: LeafRequest): string {
  return issueCertificate({
    ...request,
    publicKey: createPublicKey(key),
    issuer: ca,
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + LEAF_DAYS * DAY_MS),
  });
}

/** The key and certificate of a kubeconfig live in that one file, so that it can never hold halves of two. */
function ensureKubeconfig(
  path: string,
  user: string,
  options: ClusterPkiOptions,
  issuing: Issuing,
  request: LeafRequest,
): void {
  const existing = readKubeconfig(path);
  if (
    existing?.server === options.server &&
    existing.context === options.clusterName &&
    existing.caPem === issuing.ca.certPem &&
    isUsable(existing.cert, existing.key, issuing, request)
  ) {
    return;
  }
  const { privateKey } = generateKeyPair();
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const userName = `${options.clusterName}-${user}`;
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: options.clusterName,
        cluster: { server: options.server, 'certificate-authority-data': base64(issuing.ca.certPem) },
      },
    ],
    users: [
      {
        name: userName,
        user: {
          'client-certificate-data': base64(issueLeaf(privateKey, issuing, request)),
          'client-key-data': base64(privateKeyPem(privateKey)),
        },
      },
    ],
    contexts: [{ name: options.clusterName, context: { cluster: options.clusterName, user: userName } }],
    'current-context': options.clusterName,
  };
  writeAtomically(path, stringify(kubeconfig, { lineWidth: 0 }));
}

interface StoredKubeconfig {
  readonly server: unknown;
  readonly context: unknown;
  readonly caPem: string;
  readonly cert: X509Certificate;
  readonly key: KeyObject;
}

function readKubeconfig(path: string): StoredKubeconfig | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  try {
    const config = parse(text) as {
      clusters: { cluster: Record<string, string> }[];
      users: { user: Record<string, string> }[];
      'current-context': string;
    };
    const decode = (value: string | undefined) => Buffer.from(value ?? '', 'base64').toString();
    const cluster = config.clusters[0]?.cluster ?? {};
    const user = config.users[0]?.user ?? {};
    return {
      server: cluster.server,
      context: config['current-context'],
      caPem: decode(cluster['certificate-authority-data']),
      cert: new X509Certificate(decode(user['client-certificate-data'])),
      key: createPrivateKey(decode(user['client-key-data'])),
    };
  } catch {
    return undefined; // Not one of ours, or damaged: it is written anew.
  }
}

function isUsable(cert: X509Certificate, key: KeyObject, { ca, now }: Issuing, request: LeafRequest): boolean {
  return (
    cert.checkPrivateKey(key) &&
    cert.verify(createPublicKey(ca.key)) &&
    isFresh(cert, now) &&
    (request.dnsNames ?? []).every((name) => cert.checkHost(name, { subject: 'never' }) !== undefined) &&
    (request.ipAddresses ?? []).every((address) => cert.checkIP(address) !== undefined)
  );
}

function isFresh(cert: X509Certificate, now: Date): boolean {
  return cert.validFromDate <= now && cert.validToDate.getTime() - now.getTime() > RENEW_BEFORE_DAYS * DAY_MS;
}

function readCertificate(path: string): X509Certificate | undefined {
  const pem = readIfThere(path);
  if (pem === undefined) return undefined;
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function readKey(pem: string | undefined): KeyObject | undefined {
  if (pem === undefined) return undefined;
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
