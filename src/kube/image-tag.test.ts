// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { imageTag } from './image-tag.ts';

test.each([
  ['isthmus/pilot:0.1.0', '0.1.0'],
  ['registry.example:5000/isthmus/pilot:1.2', '1.2'],
  ['registry.example:5000/isthmus/pilot', 'latest'],
  ['isthmus/pilot:1.2@sha256:abc', '1.2'],
  ['isthmus/pilot@sha256:abc', 'unknown'],
])('%s is %s', (image, tag) => {
  expect(imageTag(image)).toBe(tag);
});
