// SPDX-License-Identifier: Apache-2.0
// `isthmus version`: of this program, of the control plane, and of the proxies that are connected to it.
import packageJson from '../../../package.json' with { type: 'json' };
import { demandAnswer, readTarget } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { askPilots, demandPilots, listPlanePods, type PlanePod } from './planes.ts';
import { renderStructured, type StructuredFormat } from './render.ts';
import { readRows } from './states.ts';

export interface VersionOptions {
  /** Ask the cluster, too. */
  readonly remote: boolean;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly output: 'text' | StructuredFormat;
}

/** Member names are istioctl's. */
export interface MeshVersions {
  readonly clientVersion: { readonly version: string };
  readonly meshVersion?: readonly { readonly Component: string; readonly Info: { readonly version: string } }[];
  readonly dataPlaneVersion?: readonly { readonly ID: string; readonly IstioVersion: string }[];
}

/** Never fails for want of a cluster: what is known is printed, and the rest told on stderr. */
export async function version(options: VersionOptions): Promise<void> {
  const { versions, notes } = await readVersions(options);
  process.stdout.write(
    options.output === 'text' ? renderVersions(versions) : renderStructured(versions, options.output),
  );
  for (const note of notes) process.stderr.write(`isthmus: ${note}\n`);
}

async function readVersions({
  remote,
  ...flags
}: VersionOptions): Promise<{ versions: MeshVersions; notes: string[] }> {
  let versions: MeshVersions = { clientVersion: { version: packageJson.version } };
  const notes: string[] = [];
  if (!remote) return { versions, notes };
  try {
    const target = readTarget(flags);
    try {
      await demandAnswer(target, 'ask again');
      const pods = await listPlanePods(target.client);
      const meshVersion = pods.filter(({ isRunning }) => isRunning).map(componentVersion);
      if (meshVersion.length > 0) versions = { ...versions, meshVersion };
      const answers = await askPilots(target.client, demandPilots(pods, target.contextName));
      notes.push(...answers.notes);
      const proxies = readRows(answers.reports).map((row) => ({ ID: row.name, IstioVersion: row.version }));
      versions = { ...versions, dataPlaneVersion: proxies };
    } catch (error) {
      throw target.explain(error, 'ask again');
    } finally {
      target.close();
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    notes.push(error.message);
  }
  return { versions, notes };
}

function componentVersion({ component, version: tag }: PlanePod) {
  return { Component: component, Info: { version: tag } };
}

/** `data plane version: 1.0.0 (2 proxies), 1.1.0 (1 proxy)` */
export function renderVersions({ clientVersion, meshVersion, dataPlaneVersion }: MeshVersions): string {
  const lines = [`client version: ${clientVersion.version}`];
  const components = count((meshVersion ?? []).map(({ Component, Info }) => `${Component} version: ${Info.version}`));
  const plane = count((meshVersion ?? []).map(({ Info }) => Info.version));
  if (plane.length === 1) lines.push(`control plane version: ${plane[0]![0]}`);
  else lines.push(...components.map(([text]) => text));
  if (dataPlaneVersion !== undefined) {
    const counted = count(dataPlaneVersion.map(({ IstioVersion }) => IstioVersion));
    const texts = counted.map(([text, proxies]) => `${text} (${proxies} ${proxies === 1 ? 'proxy' : 'proxies'})`);
    lines.push(`data plane version: ${texts.join(', ') || 'none'}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** Each text once, sorted, with how often it occurs. */
function count(texts: readonly string[]): [text: string, times: number][] {
  const times = new Map<string, number>();
  for (const text of texts) times.set(text, (times.get(text) ?? 0) + 1);
  return [...times].sort(([a], [b]) => (a < b ? -1 : 1));
}
