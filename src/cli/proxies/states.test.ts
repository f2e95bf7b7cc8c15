// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { renderRefusals, renderRows } from './render.ts';
import { type ReplicaReport, type ReportedStream, type ReportedType, readRows, stateOf, TYPES } from './states.ts';
import { renderVersions } from './version.ts';

/** One that the proxy has taken; `never`: it has answered nothing of it. */
function type(typeUrl: string, change: Partial<ReportedType> & { never?: true } = {}): ReportedType {
  const { never, ...rest } = change;
  return { typeUrl, held: 3, outstanding: false, unsent: 0, rejected: {}, ...(never ? {} : { lastAckMs: 5 }), ...rest };
}

const ALL = [TYPES.cds, TYPES.eds, TYPES.lds, TYPES.rds].map((url) => type(url));

function stream(pod: string, change: { cluster?: string; at?: number; types?: readonly ReportedType[] } = {}) {
  return {
    service: 'ads',
    peer: { clusterName: change.cluster ?? 'cluster1' },
    node: { id: `sidecar~10.0.0.1~${pod}~default.svc.cluster.local`, metadata: { ISTIO_VERSION: '0.1.0' } },
    connectedAtMs: change.at ?? 1,
    types: change.types ?? ALL,
  } satisfies ReportedStream;
}

const report = (istiod: string, ...streams: ReportedStream[]): ReplicaReport => ({ istiod, streams, refusals: [] });

const REFUSED = { 'outbound|80||a': { version: 'v2', message: 'no such file' } };

describe('the state of a type', () => {
  test.each<[string, Parameters<typeof type>[1], string]>([
    ['has it all', {}, 'SYNCED'],
    ['came back with all of it, and needed nothing', { never: true }, 'SYNCED'],
    ['has taken an empty answer', { held: 0 }, 'SYNCED'],
    ['has not answered yet', { outstanding: true }, 'STALE'],
    ['has not answered its first response', { never: true, outstanding: true, held: 0 }, 'STALE'],
    ['is to be sent more', { unsent: 1 }, 'STALE'],
    ['refuses something', { rejected: REFUSED }, 'STALE'],
    ['refuses all it ever got', { never: true, rejected: REFUSED, held: 0 }, 'STALE'],
    ['waits for its first response', { never: true, held: 0, unsent: 2 }, 'NOT SENT'],
  ])('of a proxy that %s', (_, change, expected) => {
    expect(stateOf(type(TYPES.cds, change))).toBe(expected);
  });

  test('of one that never asked for it', () => {
    expect(stateOf(undefined)).toBe('IGNORED');
  });
});

test('rows are sorted, name the cluster and the replica, and leave out streams for secrets', () => {
  const reports = [
    report('istiod-1', stream('b.default'), { ...stream('z.default'), service: 'sds' }),
    report('istiod-2', stream('a.default', { cluster: 'remote' }), stream('a.default', { types: ALL.slice(0, 2) })),
  ];
  expect(renderRows(readRows(reports))).toBe(
    `NAME          CLUSTER      CDS        LDS         EDS        RDS         ISTIOD       VERSION
a.default     cluster1     SYNCED     IGNORED     SYNCED     IGNORED     istiod-2     0.1.0
a.default     remote       SYNCED     SYNCED      SYNCED     SYNCED      istiod-2     0.1.0
b.default     cluster1     SYNCED     SYNCED      SYNCED     SYNCED      istiod-1     0.1.0
`,
  );
});

test('a proxy that two replicas know is served by the one that it came to last', () => {
  const rows = readRows([report('old', stream('a.default', { at: 1 })), report('new', stream('a.default', { at: 2 }))]);
  expect(rows.map(({ istiod }) => istiod)).toEqual(['new']);
});

test('without proxies there is the header alone', () => {
  expect(renderRows([])).toBe('NAME     CLUSTER     CDS     LDS     EDS     RDS     ISTIOD     VERSION\n');
});

test('a refusal is shown with what is behind it while it stands, and as past when it has been mended', () => {
  const refusing = stream('a.default', { types: [type(TYPES.cds, { rejected: REFUSED })] });
  const told = {
    proxy: refusing.node.id,
    typeUrl: TYPES.cds,
    resource: 'outbound|80||a',
    version: 'v2',
    message: 'no such file',
    blamed: [{ kind: 'DestinationRule', namespace: 'default', name: 'a' }],
    at: '2026-01-01T00:00:00.000Z',
  };
  const refusals = [
    { ...told, typeUrl: TYPES.rds, resource: '80', message: 'long\nago' },
    { ...told, version: 'v1', message: 'of before' },
    told,
    { ...told, proxy: 'another', resource: 'x' },
  ];
  const [row] = readRows([{ istiod: 'istiod-1', streams: [refusing], refusals }]);
  expect(renderRefusals(row!)).toBe(`
a.default refuses (what it had before stays in force):
  CDS outbound|80||a, from DestinationRule default/a (2026-01-01T00:00:00.000Z)
    no such file

a.default refused before, and it has been replaced since:
  RDS 80, from DestinationRule default/a (2026-01-01T00:00:00.000Z)
    long
    ago
`);
  // The replica that the proxy came from took the story with it; the proxy tells it anew.
  const [moved] = readRows([report('istiod-2', refusing)]);
  expect(renderRefusals(moved!)).toContain('  CDS outbound|80||a\n    no such file\n');
  expect(renderRefusals(readRows([report('istiod-1', stream('a.default'))])[0]!)).toBe('');
});

describe('versions', () => {
  const clientVersion = { version: '2' };
  const part = (Component: string, version: string) => ({ Component, Info: { version } });

  test('of the client alone', () => {
    expect(renderVersions({ clientVersion })).toBe('client version: 2\n');
  });

  test('of all, counted', () => {
    const dataPlaneVersion = ['2', '1', '2'].map((IstioVersion, index) => ({ ID: `p${index}`, IstioVersion }));
    const meshVersion = [part('istiod', '2'), part('istiod', '2')];
    expect(renderVersions({ clientVersion, meshVersion, dataPlaneVersion })).toBe(
      'client version: 2\ncontrol plane version: 2\ndata plane version: 1 (1 proxy), 2 (2 proxies)\n',
    );
  });

  test('of parts that differ, and without a proxy', () => {
    const meshVersion = [part('istiod', '2'), part('istiod', '1')];
    expect(renderVersions({ clientVersion, meshVersion, dataPlaneVersion: [] })).toBe(
      'client version: 2\nistiod version: 1\nistiod version: 2\ndata plane version: none\n',
    );
  });
});
