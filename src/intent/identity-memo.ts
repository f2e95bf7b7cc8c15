// SPDX-License-Identifier: Apache-2.0
// For envoy/ too, which may know intents and not the model below them.
export { IdentityMemo } from '../model/identity-memo.ts';
