// SPDX-License-Identifier: Apache-2.0

/** `1.2` of `registry:5000/name:1.2@sha256:...`; `unknown` where the image is named by its digest alone. */
export function imageTag(image: string): string {
  const [name = ''] = image.split('@');
  const last = name.slice(name.lastIndexOf('/') + 1);
  const colon = last.indexOf(':');
  if (colon >= 0) return last.slice(colon + 1);
  return image.includes('@') ? 'unknown' : 'latest';
}
