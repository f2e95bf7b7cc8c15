// SPDX-License-Identifier: Apache-2.0
// The CLI's entry: each command group is a module that is imported only when it is needed, so `--help` stays fast.
import { Command } from 'commander';
import { registerCommands } from './commands.ts';

const program = new Command('isthmus')
  .description('A multicluster service mesh: real Envoy proxies, the Istio API, several Kubernetes clusters as one.')
  .showHelpAfterError('(add --help for usage and examples)')
  .showSuggestionAfterError(true);
await registerCommands(program);
await program.parseAsync();
