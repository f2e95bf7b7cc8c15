// SPDX-License-Identifier: Apache-2.0
import type { Environment } from '@marcbachmann/cel-js';
import { createCelEnvironment } from './cel-environment.ts';

/** What expressions of admission policies and of match conditions may speak of. */
const VARIABLES = ['object', 'oldObject', 'request', 'params', 'namespaceObject', 'variables'];

export function policyEnvironment(): Environment {
  return createCelEnvironment(VARIABLES);
}
