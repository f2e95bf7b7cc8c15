// SPDX-License-Identifier: Apache-2.0
// Where routes of every kind send their traffic, and in which shares.
import { type At, checked, type Infer, integer, optional, required, struct } from './shape.ts';
import { dnsLabel, hostPattern, portSelector } from './values.ts';

const somewhere = checked(hostPattern, (host, at) => {
  if (host !== '*') return;
  at.report.add('ISM0006', at.field, '"*" is no destination', 'name a host, or a wildcard that a ServiceEntry has');
});

export const destination = struct({
  host: required(somewhere),
  subset: optional(dnsLabel),
  port: optional(portSelector),
});
export type Destination = Infer<typeof destination>;

/** An entry of a TCP or TLS route. */
export const connectionShare = struct({ destination: required(destination), weight: optional(integer()) });
export type ConnectionShare = Infer<typeof connectionShare>;

/** Weights are shares of their sum, as in today's Istio; a sum other than 100 is probably a slip, so it is named. */
export function checkWeights(routes: readonly { readonly weight: number | undefined }[], at: At): void {
  if (routes.length < 2) return;
  const sum = routes.reduce((total, route) => total + (route.weight ?? 0), 0);
  if (sum === 0) {
    at.report.add(
      'ISM0008',
      at.field,
      'the weights add up to 0, so nothing would be sent anywhere',
      'give each destination a weight',
    );
  } else if (sum > 0xffff_ffff) {
    at.report.add('ISM0008', at.field, 'the weights add up to more than 4294967295', 'use smaller ones');
  } else if (sum !== 100) {
    const cure = 'make them add up to 100, or ignore this: they are shares of their sum';
    at.report.add('ISM0008', at.field, `the weights add up to ${sum}, not 100`, cure, 'warning');
  }
}
