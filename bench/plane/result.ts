// SPDX-License-Identifier: Apache-2.0

/** What one load on a control plane came to, as `xdsload run -json` writes it, as far as it is printed here. */
export interface Result {
  readonly initialSync: { readonly p99Seconds: number; readonly lastSeconds: number; readonly usage: Usage };
  /** By kind (`eds`: an endpoint, `vs`: a VirtualService); p99 over all proxies and changes, the rest a mean for each change. */
  readonly summary: readonly Change[];
}

export interface Usage {
  readonly wallSeconds: number;
  readonly serverCPUSeconds: number;
  readonly serverPeakRSSMiB: number;
  /** Of processes that are neither the server's nor the load's. */
  readonly otherCPUSeconds: number;
  readonly bytes: number;
}

export interface Change {
  readonly kind: string;
  readonly p99Ms: number;
  /** From the change until all is quiet again. */
  readonly serverCPUSeconds: number;
  readonly otherCPUSeconds: number;
  readonly bytes: number;
}
