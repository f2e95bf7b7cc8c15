// SPDX-License-Identifier: Apache-2.0
// Which program stands behind an image name. The sandbox pulls nothing: an image is a program of ours (or Envoy).

/** A program that the node can run in a pod's own root, where /opt/isthmus/bin and /opt/isthmus/dist are mounted. */
export interface ImageProgram {
  /** What runs when the container has no `command`; the container's `args` follow it. */
  readonly entrypoint: readonly string[];
  /** What follows the entrypoint when the container has neither `command` nor `args` (an image's CMD). */
  readonly defaultArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The image's USER; 65532 when absent. */
  readonly user?: number;
  readonly description: string;
}

export type ImageResolution =
  | { readonly kind: 'program'; readonly program: ImageProgram }
  | { readonly kind: 'unknown'; readonly closest: readonly string[] };

const node = (program: string, ...args: string[]): string[] => [
  'node',
  `/opt/isthmus/dist/images/${program}.mjs`,
  ...args,
];

/** Repository name without registry and tag -> program. */
export const CATALOGUE: Readonly<Record<string, ImageProgram>> = {
  'istio/examples-bookinfo-productpage-v1': { entrypoint: node('productpage'), description: 'Bookinfo: the page' },
  'istio/examples-bookinfo-details-v1': { entrypoint: node('details'), description: 'Bookinfo: a book’s details' },
  'istio/examples-bookinfo-ratings-v1': { entrypoint: node('ratings'), description: 'Bookinfo: stars' },
  'istio/examples-bookinfo-reviews-v1': {
    entrypoint: node('reviews', 'v1'),
    description: 'Bookinfo: reviews without stars',
  },
  'istio/examples-bookinfo-reviews-v2': {
    entrypoint: node('reviews', 'v2'),
    description: 'Bookinfo: reviews with black stars',
  },
  'istio/examples-bookinfo-reviews-v3': {
    entrypoint: node('reviews', 'v3'),
    description: 'Bookinfo: reviews with red stars',
  },
  'istio/examples-helloworld-v1': {
    entrypoint: node('helloworld', 'v1'),
    description: 'helloworld: says v1 and its name',
  },
  'istio/examples-helloworld-v2': {
    entrypoint: node('helloworld', 'v2'),
    description: 'helloworld: says v2 and its name',
  },
  'istio/examples-helloworld-v3': {
    entrypoint: node('helloworld', 'v3'),
    description: 'helloworld: says v3 and its name',
  },
  'kennethreitz/httpbin': { entrypoint: node('httpbin'), description: 'httpbin: answers with what it was asked' },
  'governmentpaas/curl-ssl': {
    // No entrypoint, as the image: `kubectl run ... -- curl URL` runs curl.
    entrypoint: [],
    defaultArgs: ['/bin/sleep', '3650d'],
    description: 'sleep: a shell with curl',
  },
  busybox: { entrypoint: [], defaultArgs: ['sh'], description: 'a shell, with the tools of this machine' },
  'curlimages/curl': { entrypoint: ['curl'], description: 'curl alone' },
  'isthmus/pilot': { entrypoint: ['isthmus'], user: 1337, description: 'Isthmus: control plane, CA, injector, DNS' },
  'isthmus/proxyv2': {
    entrypoint: ['envoy'],
    user: 1337,
    description: 'Isthmus: the proxy (Envoy) and its redirect rules',
  },
};

/** The program behind `image` (`[registry/]name[:tag][@digest]`), or the catalogue's closest names. */
export function resolveImage(image: string): ImageResolution {
  const name = repositoryName(image);
  const program = CATALOGUE[name];
  if (program) return { kind: 'program', program };
  return { kind: 'unknown', closest: closestNames(name) };
}

function repositoryName(image: string): string {
  const untagged = image.replace(/@.*$/, '').replace(/:[^/]*$/, '');
  const [first, ...rest] = untagged.split('/');
  // A first part with a dot or a port, or `localhost`, is a registry (the rule of the Docker reference grammar).
  return first !== undefined && rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
    ? rest.join('/')
    : untagged;
}

function closestNames(name: string): string[] {
  const last = (text: string): string => text.slice(text.lastIndexOf('/') + 1);
  return Object.keys(CATALOGUE)
    .map((candidate) => ({
      candidate,
      distance: Math.min(editDistance(name, candidate), editDistance(last(name), last(candidate))),
    }))
    .sort((a, b) => a.distance - b.distance || a.candidate.localeCompare(b.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
