// SPDX-License-Identifier: Apache-2.0
// Seed 001, "cluster-aware service routing": one control plane for two clusters on networks of their own (split-horizon
// EDS). The page's own commands, in its order, and what it says one sees, on real traffic.
import { testStepsAreThePage } from './seeds/scenario.ts';

testStepsAreThePage('001', 'prompted');
