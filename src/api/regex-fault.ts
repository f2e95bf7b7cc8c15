// SPDX-License-Identifier: Apache-2.0

/** Why RE2 does not take an expression, as a sentence about "it". */
export class RegexFault extends Error {}
