// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { readCorefile } from './corefile.ts';
import { StubConfig } from './stub-config.ts';

const own = (text: string) => Object.fromEntries(readCorefile(text).stubs);

describe('a Corefile', () => {
  it('forwards by server blocks, with `forward` or the older `proxy`', () => {
    const corefile = `
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf   # the node's
    cache 30
}
global:53 {
    errors
    cache 30
    proxy . 10.96.4.2
}
a.test b.test:53, dns://c.test {
    forward . 10.0.0.1:5353 tls://9.9.9.9 10.0.0.2 {
        policy sequential
    }
}
D.test. {
    forward x.d.test 10.0.0.3
    forward . 10.0.0.4 {
        except y.d.test Z.d.test.
    }
}
# e.test { forward . 1.1.1.1 }
`;
    expect(own(corefile)).toEqual({
      global: [{ host: '10.96.4.2', port: 53 }],
      'a.test': [
        { host: '10.0.0.1', port: 5353 },
        { host: '10.0.0.2', port: 53 },
      ],
      'b.test': [
        { host: '10.0.0.1', port: 5353 },
        { host: '10.0.0.2', port: 53 },
      ],
      'c.test': [
        { host: '10.0.0.1', port: 5353 },
        { host: '10.0.0.2', port: 53 },
      ],
      'x.d.test': [{ host: '10.0.0.3', port: 53 }],
      'd.test': [{ host: '10.0.0.4', port: 53 }],
      'y.d.test': [],
      'z.d.test': [],
    });
    expect(readCorefile(corefile).notes).toEqual([
      'Corefile line 17: tls://9.9.9.9 is not asked: only plain DNS is spoken here',
    ]);
  });

  it('may give everything to another server, and say what is not carried out', () => {
    const text =
      '(common) {\n  cache\n}\n.:53{\n  import common\n  hosts {\n    10.0.0.1 a.test\n  }\n  forward . 10.0.0.9\n}\nx:54 {\n  forward . 10.0.0.8\n}';
    expect(own(text)).toEqual({ '': [{ host: '10.0.0.9', port: 53 }] });
    expect(readCorefile(text).notes).toEqual([
      'Corefile line 5: "import" is not carried out here',
      'Corefile line 6: "hosts" is not carried out here',
      'Corefile line 11: x:54 is for port 54; this DNS serves port 53 only',
    ]);
  });

  it.each([
    ['.:53 {\n  forwad . 10.0.0.1\n}', 'Corefile line 2: CoreDNS has no plugin "forwad"; closest: forward'],
    ['.:53 {\n  forward .\n}', 'Corefile line 2: write `forward . ADDRESS`, such as forward . 10.96.4.2'],
    ['global {\n  proxy . dns.example\n}', 'Corefile line 2: "dns.example" is not an IP address or a file'],
    ['global {\n  forward . 10.0.0.300\n}', 'Corefile line 2: "10.0.0.300" is not an IP address'],
    ['global {\n  forward . 10.0.0.1:99999\n}', 'Corefile line 2: "10.0.0.1:99999" is not an IP address'],
    ['\n.:53 {\n  cache\n', 'Corefile line 2: this server block is not ended by a }'],
    ['.:53 {\n  kubernetes a {\n    pods insecure\n', 'Corefile line 2: the block of "kubernetes" is not ended by a }'],
    ['.:53 {\n}\n}', 'Corefile line 3: there is no block that this } could end'],
    ['.:53\n{\n}', 'Corefile line 1: write { behind .:53'],
    ['a {\n}\na:53 {\n}', 'Corefile line 3: a:53 has a server block already, at line 1'],
    ['{\n}', 'Corefile line 1: a server block begins with the zones'],
  ])('%j is refused with its line', (text, sentence) => {
    expect(() => readCorefile(text)).toThrow(sentence);
  });
});

describe('the cluster’s DNS configuration', () => {
  const events: string[] = [];
  const config = new StubConfig({
    ownAddress: '10.96.0.10',
    onRead: (name, domains) => events.push(`${name}: ${domains.join(' ')}`),
    onMistake: ({ metadata }, sentence) => events.push(`${metadata.name}: ${sentence}`),
  });
  const map = (name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'kube-system' },
    data,
  });

  it('is both ConfigMaps together; a bad one keeps what it said last', () => {
    config.upsert(map('other', { Corefile: '}' }));
    config.upsert(map('kube-dns', { stubDomains: '{"global": ["10.96.4.2"], "own": ["10.96.0.10"]}' }));
    config.upsert(map('coredns', { Corefile: 'acme.test {\n forward . 10.96.4.3\n}' }));
    expect([...config.current.keys()]).toEqual(['global', 'acme.test']);
    config.upsert(map('coredns', { Corefile: 'acme.test {\n forward\n}' }));
    config.upsert(map('kube-dns', { stubDomains: '{"global": ' }));
    expect([...config.current.keys()]).toEqual(['global', 'acme.test']);
    config.remove(map('kube-dns', {}));
    expect([...config.current.keys()]).toEqual(['acme.test']);
    expect(events).toEqual([
      'kube-dns: global',
      'coredns: global acme.test',
      'coredns: Corefile line 2: write `forward . ADDRESS`, such as forward . 10.96.4.2',
      expect.stringMatching(/^kube-dns: stubDomains: /),
      'kube-dns: acme.test',
    ]);
  });
});
