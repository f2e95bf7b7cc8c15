// SPDX-License-Identifier: Apache-2.0

/** Holds a definition that is being deleted until its instances are gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';
