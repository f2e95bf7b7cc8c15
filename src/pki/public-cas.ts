// SPDX-License-Identifier: Apache-2.0
// CAs whose private keys everybody can download: whoever has one signs any identity of a mesh that trusts it.
import { X509Certificate } from 'node:crypto';
import { certificateBlocks } from './x509.ts';

/** SHA-256 of each CA certificate that Istio's repository has had in samples/certs and security/samples (up to 1.28). */
const ISTIO_SAMPLES: ReadonlySet<string> = new Set([
  '11c9202c6be8ea5fcfb46d8591a8cf83b20eb97ade97234840851af8763ae428',
  '1313a3551fa1e93c912355c74152bb0c2c406f4f8bd437f343a144f468837a47',
  '18d14d265feaf426c557e8e41d2bcfbd94577c7bc606f970e7b2e1462b40fa18',
  '327f2be2212e3a8a87dc2a68ade27c14d88c42400c67c459b3b688035da3a253',
  '40ff5d9dcaa80833bb7291ef1f89acd9f4da11d6c6006b78897d3f9e2cff86b5',
  '575469bcadde6d85a56c9e7f158b6e5f4a201f8f59651c418ae7fecc79eb94ed',
  '63727a1785cab47acec5c24cc0669c20824e8ae1ac28079a4d2f8c830592e7b0',
  '659402714a1b80be4df48ab816cae7f2565a6f9fb75cf03b1686b72f3fad3692',
  '677fbf661531ab421e73bfe7b2ebdb7ec5509174e3dfcd39d24b852e2d46d46c',
  '6a1247642e6e17b88135d82b2d490b991db1cc3fffb11575f6dba03b361b6eef',
  '6c848fbf145a7862286a4deca23b31ba4e5edf5b076132d2ccd45ac1dfe9d760',
  '995e1400335aaaf3b70dadf16e734fcc6fe743831597c4f5a2d8032c467ceedc',
  'a0901fbcd30031b2ba67a03a5ba1ace0c97a6bc47db42119f8bce0f106b17328',
  'a188a5251ab4ee9939d3b30e3395aa56288aa80010de65fa79eaba4c68932ea4',
  'b348367bf9763e0affe5f31054f9baa33d7ac68a9310f146c07a09bc2151befe',
  'b48cd4cdf4684045907d999751645deb1eef4099e46ebb12c0441d07af50ed54',
  'b826c13f3a5b2c0889f89986aeaa2cb9da74c3296fd138f50bde9bc57efcda69',
  'd80949945b9f0f81a263bf8562523e7d5c03b3b336a270b4fc557e50a942c401',
  'd9979935e6bcfbc9aaa1d792397ed4131bec87b25750f05f7a77c51f670e0f2f',
  'e5cc551e468fd647ece496722755bf7a729adb6205b114cbd06b918ce2b4bb57',
  'ed8bbc524b24959b20dc46de8cc3b6e4c1bfcc0bc12efd24a5387eab902a81a3',
  'f867174e4a31f1792f8c0354a23f8f049bd4019729cd2ee579d67033065b2dc2',
]);

/** The subject of the first certificate in `pems` that belongs to a publicly known CA; undefined when none does. */
export function findPublicCa(pems: readonly string[], known = ISTIO_SAMPLES): string | undefined {
  for (const block of pems.flatMap(certificateBlocks)) {
    const certificate = read(block);
    const fingerprint = certificate?.fingerprint256.replaceAll(':', '').toLowerCase();
    if (fingerprint !== undefined && known.has(fingerprint)) return certificate?.subject.replaceAll('\n', ', ');
  }
  return undefined;
}

/** A damaged one is for others to report. */
function read(block: string): X509Certificate | undefined {
  try {
    return new X509Certificate(block);
  } catch {
    return undefined;
  }
}
