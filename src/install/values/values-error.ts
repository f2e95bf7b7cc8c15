// SPDX-License-Identifier: Apache-2.0

/** A value that was set wrongly: the message names where, what, and what would be right. */
export class ValuesError extends Error {}
