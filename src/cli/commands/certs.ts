// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CertificateReport } from '../certificate-files.ts';
import { shellWord } from '../shell-word.ts';

interface CertsOptions {
  out: string;
  clusters: string[];
  org: string;
  days: number;
  force: boolean;
  newRoot: boolean;
  output: 'text' | 'json';
}

const EXAMPLES = `
Examples:
  isthmus certs                                          a root and intermediates for cluster1 and cluster2 in samples/certs
  isthmus certs --out ca --clusters east,west            other names, another folder
  isthmus certs --out ca --clusters east,west,north      later: keeps what is there, adds north
  isthmus certs --force                                  new intermediates below the same root

The folder then holds root-cert.pem, root-key.pem (keep it offline) and, in itself and in a folder per cluster, what the
secret "cacerts" is made of: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem. The clusters trust one another because
they share the root; each signs with an intermediate of its own.
`;

export function register(program: Command): void {
  program
    .command('certs')
    .description('make a root certificate and an intermediate CA for each cluster')
    .option('--out <dir>', 'folder for the files', 'samples/certs')
    .option('--clusters <names>', 'comma-separated names of clusters', decodeNames, ['cluster1', 'cluster2'])
    .option('--org <name>', 'organization in the subjects', 'Isthmus')
    .option('--days <number>', 'validity of new certificates', decodeDays, 3650)
    .option('--force', 'make new intermediates below the root that is there', false)
    .option('--new-root', 'make everything anew (what trusts the old root will not trust the new one)', false)
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action(async (options: CertsOptions) => {
      const { writeCertificates } = await import('../certificate-files.ts');
      const report = writeCertificates({
        dir: options.out,
        clusters: options.clusters,
        organization: options.org,
        days: options.days,
        renew: options.force,
        newRoot: options.newRoot,
        nowMs: Date.now(),
      });
      process.stdout.write(options.output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : renderReport(report));
    });
}

function decodeNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Give names, separated by commas, e.g. cluster1,cluster2.');
  return [...new Set(names)];
}

function decodeDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 36_500)
    throw new InvalidArgumentError('Give a number from 1 to 36500.');
  return days;
}

function renderReport({ root, intermediates }: CertificateReport): string {
  const line = (what: string, entry: CertificateReport['root']): string =>
    `${entry.state}  ${what.padEnd(28)} ${entry.subject}, valid to ${entry.notAfter.slice(0, 10)}`;
  const lines = [line('root', root), ...intermediates.map((each) => line(each.dir, each)), ''];
  for (const { cluster, dir } of intermediates) {
    if (cluster === undefined) continue;
    const files = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'];
    lines.push(`# install into ${cluster}`);
    lines.push(`kubectl --context=${cluster} create namespace istio-system`);
    lines.push(`kubectl --context=${cluster} create secret generic cacerts -n istio-system \\`);
    lines.push(files.map((file) => `  --from-file=${shellWord(`${dir}/${file}`)}`).join(' \\\n'));
  }
  return `${lines.join('\n')}\n`;
}
