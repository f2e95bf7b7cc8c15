// SPDX-License-Identifier: Apache-2.0

import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { issueCertificate } from '../pki/x509.ts';
import { Authority } from './authority.ts';
import { type CaFiles, makeIntermediate, makeRoot, makeSelfSignedCa } from './ca-material.ts';
import { type Clock, renewalDelayMs } from './renewal.ts';
import { spiffeId } from './spiffe.ts';
import { type SecretSubscription, WorkloadSecrets } from './workload-secrets.ts';

const HOUR_MS = 3600_000;
const nowMs = Date.parse('2026-01-02T03:04:05Z');
const newCa = { organization: 'Test', commonName: 'Test root', days: 365, nowMs };
const root = makeRoot(newCa);
const files = makeIntermediate(root, { ...newCa, commonName: 'Test intermediate' });
const sleep = spiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'sleep' });

class FakeClock implements Clock {
  #nowMs = nowMs;
  #timers = new Map<symbol, { atMs: number; run: () => void }>();
  chance = 0.5;
  nowMs = () => this.#nowMs;
  random = () => this.chance;
  after(delayMs: number, run: () => void) {
    const id = Symbol();
    this.#timers.set(id, { atMs: this.#nowMs + delayMs, run });
    return () => void this.#timers.delete(id);
  }
  get pending() {
    return this.#timers.size;
  }
  advance(ms: number) {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.atMs <= untilMs)
        .sort((a, b) => a[1].atMs - b[1].atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#nowMs = due[1].atMs;
      due[1].run();
    }
    this.#nowMs = untilMs;
  }
}

const certificatesOf = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((block) => new X509Certificate(block));

function secretsOf(subscription: SecretSubscription) {
  const secret = (name: string) =>
    fromBinary(SecretSchema, subscription.resources().get(name)?.value ?? new Uint8Array()).type;
  const text = (source: { specifier: { value?: unknown } } | undefined) =>
    Buffer.from(source?.specifier.value as Uint8Array).toString();
  const own = secret('default');
  const roots = secret('ROOTCA');
  if (own.case !== 'tlsCertificate' || roots.case !== 'validationContext') throw new Error('wrong kinds of secret');
  return {
    chain: certificatesOf(text(own.value.certificateChain)),
    keyPem: text(own.value.privateKey),
    roots: certificatesOf(text(roots.value.trustedCa)),
    version: subscription.resources().get('default')?.version,
  };
}

describe('Authority', () => {
  it('issues workloads that verify up to the root, with the SPIFFE id critical and alone', () => {
    const issued = new Authority(files, nowMs).issueWorkload(sleep, 24 * HOUR_MS, nowMs);
    const [leaf, intermediate, ...rest] = certificatesOf(issued.chainPem);
    expect(rest).toEqual([]);
    expect(leaf?.subjectAltName).toBe('URI:spiffe://cluster.local/ns/default/sa/sleep');
    expect(leaf?.subject).toBeFalsy();
    expect(leaf?.verify((intermediate as X509Certificate).publicKey)).toBe(true);
    expect(intermediate?.verify(new X509Certificate(root.certPem).publicKey)).toBe(true);
    expect(leaf?.checkPrivateKey(createPrivateKey(issued.keyPem))).toBe(true);
    expect(leaf?.validFromDate.getTime()).toBeLessThan(nowMs);
    expect(leaf?.validToDate.getTime()).toBe(nowMs + 24 * HOUR_MS);
  });

  it('sends no intermediate when the CA is the root', () => {
    const selfSigned = new Authority(makeSelfSignedCa(newCa), nowMs);
    const chain = certificatesOf(selfSigned.issueWorkload(sleep, HOUR_MS, nowMs).chainPem);
    expect(chain).toHaveLength(1);
    expect(chain[0]?.verify(certificatesOf(selfSigned.rootPem)[0]!.publicKey)).toBe(true);
  });

  it('never lets a certificate outlive the CA', () => {
    const short = makeIntermediate(root, { ...newCa, commonName: 'short', days: 1 });
    const issued = new Authority(short, nowMs).issueWorkload(sleep, 72 * HOUR_MS, nowMs);
    expect(issued.notAfterMs).toBe(nowMs + 24 * HOUR_MS);
  });

  it('signs with RSA keys too', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const certPem = issueCertificate({
      subject: { commonName: 'rsa' },
      publicKey: rsa.publicKey,
      selfKey: rsa.privateKey,
      isCa: true,
      notBefore: new Date(nowMs - 1000),
      notAfter: new Date(nowMs + HOUR_MS),
    });
    const keyPem = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    const ca: CaFiles = {
      'ca-cert.pem': certPem,
      'ca-key.pem': keyPem,
      'root-cert.pem': certPem,
      'cert-chain.pem': '',
    };
    const [leaf] = certificatesOf(new Authority(ca, nowMs).issueWorkload(sleep, HOUR_MS / 2, nowMs).chainPem);
    expect(leaf?.verify(rsa.publicKey)).toBe(true);
  });

  it('reports what expires soon', () => {
    const authority = new Authority(files, nowMs);
    expect(authority.expiry(nowMs).map(({ what, state }) => [what, state])).toEqual([
      ['O=Test, CN=Test intermediate', 'ok'],
      ['O=Test, CN=Test root', 'ok'],
    ]);
    const later = nowMs + 364 * 24 * HOUR_MS;
    expect(authority.expiry(later).map((each) => each.state)).toEqual(['expires-soon', 'expires-soon']);
  });
});

describe('files that are no CA', () => {
  const other = makeRoot({ ...newCa, commonName: 'Another root' });
  const cases: [what: string, change: Partial<CaFiles>, atMs: number, message: RegExp][] = [
    ['a key of something else', { 'ca-key.pem': other.keyPem }, nowMs, /ca-key\.pem does not belong to ca-cert\.pem/],
    ['a foreign root', { 'root-cert.pem': other.certPem }, nowMs, /does not lead to root-cert\.pem.*CN=Test root/],
    ['an expired CA', {}, nowMs + 366 * 24 * HOUR_MS, /ca-cert\.pem.*expired on 2027-01-02/],
    ['a CA of the future', {}, nowMs - 24 * HOUR_MS, /not valid before.*clock/],
    ['no certificate', { 'ca-cert.pem': 'hello' }, nowMs, /ca-cert\.pem holds no certificate/],
    [
      'a damaged certificate',
      { 'root-cert.pem': root.certPem.replace(/M[A-Z]/, '!!') },
      nowMs,
      /root-cert\.pem.*damaged/,
    ],
    ['a damaged key', { 'ca-key.pem': 'nothing' }, nowMs, /no private key that can be read/],
    [
      'an encrypted key',
      {
        'ca-key.pem': createPrivateKey(files['ca-key.pem'])
          .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
      },
      nowMs,
      /encrypted/,
    ],
  ];
  it.each(cases)('%s', (_what, change, atMs, message) => {
    expect(() => new Authority({ ...files, ...change }, atMs)).toThrow(message);
  });

  it('a workload certificate', () => {
    const leaf = new Authority(files, nowMs).issueWorkload(sleep, HOUR_MS, nowMs);
    const change = { 'ca-cert.pem': leaf.chainPem, 'ca-key.pem': leaf.keyPem, 'cert-chain.pem': leaf.chainPem };
    expect(() => new Authority({ ...files, ...change }, nowMs)).toThrow(/not the certificate of a CA/);
  });

  it('never shows a key in a message', () => {
    for (const [, change, atMs] of cases) {
      try {
        new Authority({ ...files, ...change }, atMs);
      } catch (error) {
        expect(String(error)).not.toContain('PRIVATE KEY');
      }
    }
  });
});

describe('spiffeId', () => {
  it('refuses names that would change its structure', () => {
    const of = (namespace: string, serviceAccount: string) =>
      spiffeId({ trustDomain: 'td', namespace, serviceAccount });
    expect(of('a', 'b.c')).toBe('spiffe://td/ns/a/sa/b.c');
    for (const bad of ['', 'a/sa/x', 'A', 'a b', '../x']) {
      expect(() => of(bad, 'b')).toThrow(/namespace/);
      expect(() => of('a', bad)).toThrow(/service account/);
    }
  });
});

describe('WorkloadSecrets', () => {
  it('gives one instance the same secret, and another its own key', () => {
    const secrets = new WorkloadSecrets(new Authority(files, nowMs), { clock: new FakeClock() });
    const one = secretsOf(secrets.open({ id: sleep, instance: 'pod-1' }, () => {}));
    const again = secretsOf(secrets.open({ id: sleep, instance: 'pod-1' }, () => {}));
    const two = secretsOf(secrets.open({ id: sleep, instance: 'pod-2' }, () => {}));
    expect(again.keyPem).toBe(one.keyPem);
    expect(two.keyPem).not.toBe(one.keyPem);
    expect(one.roots.map((each) => each.subject)).toEqual(['O=Test\nCN=Test root']);
    expect(one.chain[0]?.checkPrivateKey(createPrivateKey(one.keyPem))).toBe(true);
    secrets.close();
  });

  it('renews at half of life, more or less, for ever', () => {
    const clock = new FakeClock();
    const secrets = new WorkloadSecrets(new Authority(files, nowMs), { clock });
    let changes = 0;
    const subscription = secrets.open({ id: sleep, instance: 'p' }, () => changes++);
    const before = secretsOf(subscription);
    clock.advance(11 * HOUR_MS);
    expect(changes).toBe(0);
    clock.advance(2 * HOUR_MS);
    expect(changes).toBe(1);
    const after = secretsOf(subscription);
    expect(after.version).not.toBe(before.version);
    expect(after.keyPem).not.toBe(before.keyPem);
    clock.advance(240 * HOUR_MS);
    expect(changes).toBe(21);
    expect(secrets.status().soonestExpiryMs).toBeGreaterThan(clock.nowMs());
    secrets.close();
    expect(clock.pending).toBe(0);
  });

  it('spreads renewals by a tenth to both sides', () => {
    const clock = new FakeClock();
    const delay = (chance: number) => {
      clock.chance = chance;
      return renewalDelayMs({ notAfterMs: nowMs + 24 * HOUR_MS }, clock) / HOUR_MS;
    };
    expect([delay(0), delay(0.5), delay(1)]).toEqual([10.8, 12, expect.closeTo(13.2)]);
  });

  it('keeps the secret of a proxy that comes right back, and forgets one that does not', () => {
    const clock = new FakeClock();
    const secrets = new WorkloadSecrets(new Authority(files, nowMs), { clock });
    const owner = { id: sleep, instance: 'p' };
    const first = secrets.open(owner, () => {});
    const { keyPem } = secretsOf(first);
    first.close();
    clock.advance(60_000);
    const second = secrets.open(owner, () => {});
    expect(secretsOf(second).keyPem).toBe(keyPem);
    second.close();
    clock.advance(10 * 60_000);
    expect(secrets.status().workloads).toBe(0);
    expect(clock.pending).toBe(0);
    expect(secretsOf(secrets.open(owner, () => {})).keyPem).not.toBe(keyPem);
  });

  it('signs everything anew under a new authority', () => {
    const secrets = new WorkloadSecrets(new Authority(files, nowMs), { clock: new FakeClock() });
    let changes = 0;
    const subscription = secrets.open({ id: sleep, instance: 'p' }, () => changes++);
    const bundle = makeSelfSignedCa({ ...newCa, commonName: 'New root' });
    const both = { ...bundle, 'root-cert.pem': bundle['root-cert.pem'] + root.certPem };
    secrets.setAuthority(new Authority(both, nowMs));
    expect(changes).toBe(1);
    const { chain, roots } = secretsOf(subscription);
    expect(roots).toHaveLength(2);
    expect(chain[0]?.verify(roots[0]!.publicKey)).toBe(true);
  });

  it('keeps the old certificate, reports, and tries again, when the CA cannot sign', () => {
    const clock = new FakeClock();
    const short = makeIntermediate(root, { ...newCa, commonName: 'short', days: 1 });
    const errors: Error[] = [];
    const secrets = new WorkloadSecrets(new Authority(short, nowMs), { clock, onError: (error) => errors.push(error) });
    const subscription = secrets.open({ id: sleep, instance: 'p' }, () => {});
    clock.advance(48 * HOUR_MS);
    expect(secretsOf(subscription).chain[0]?.validToDate.getTime()).toBe(nowMs + 24 * HOUR_MS);
    expect(secrets.status().authority[0]?.state).toBe('expired');
    expect(errors.length).toBeGreaterThan(1);
    expect(() => secrets.open({ id: sleep, instance: 'q' }, () => {})).toThrow(/expired on 2026-01-03.*renew cacerts/);
    secrets.close();
  });
});
