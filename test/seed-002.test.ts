// SPDX-License-Identifier: Apache-2.0
import { testStepsAreThePage } from './seeds/scenario.ts';

testStepsAreThePage('002', 'joined');
