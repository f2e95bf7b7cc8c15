// SPDX-License-Identifier: Apache-2.0
// Which program stands behind an image name. The sandbox pulls nothing: an image is a program of ours, Envoy, or one
// that the user has listed (own-images.ts).
import { closestNames } from '../closest-names.ts';

/** A program that the node can run in a pod's own root, where /opt/isthmus/bin and /opt/isthmus/dist are mounted. */
export interface ImageProgram {
  /** What runs when the container has no `command`; the container's `args` follow it. */
  readonly entrypoint: readonly string[];
  /** What follows the entrypoint when the container has neither `command` nor `args` (an image's CMD). */
  readonly defaultArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The image's USER; 65532 when absent. */
  readonly user?: number;
  /** The image's WORKDIR; `/` when absent. */
  readonly workingDir?: string;
  /** Folders of this machine that the container sees, read-only, at the same place. */
  readonly hostFolders?: readonly string[];
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
  'istio/tcp-echo-server': { entrypoint: node('tcp-echo'), description: 'tcp-echo: says each line again' },
  'kennethreitz/httpbin': { entrypoint: node('httpbin'), description: 'httpbin: answers with what it was asked' },
  'mccutchen/go-httpbin': {
    entrypoint: node('httpbin', 'go'),
    description: 'httpbin as it is in Go: on port 8080, headers as lists',
  },
  'fortio/fortio': {
    entrypoint: node('fortio'),
    defaultArgs: ['server'],
    description: 'fortio: sends load and counts the answers; a server to send it to',
  },
  nginx: {
    entrypoint: node('nginx'),
    description: 'nginx: ports and certificates as /etc/nginx/nginx.conf says, and its first page',
  },
  'governmentpaas/curl-ssl': {
    // No entrypoint, as the image: `kubectl run ... -- curl URL` runs curl.
    entrypoint: [],
    defaultArgs: ['/bin/sleep', '3650d'],
    description: 'sleep: a shell with curl',
  },
  busybox: { entrypoint: [], defaultArgs: ['sh'], description: 'a shell, with the tools of this machine' },
  'curlimages/curl': {
    // As the image: arguments are curl's, but for those that begin with a program (`-- sh`, `-- curl URL`).
    entrypoint: ['sh', '-c', 'command -v -- "$1" > /dev/null && exec "$@"; exec curl "$@"', 'curl'],
    description: 'curl',
  },
  'isthmus/pilot': { entrypoint: ['isthmus'], user: 1337, description: 'Isthmus: control plane, CA, injector, DNS' },
  'isthmus/proxyv2': {
    entrypoint: ['envoy'],
    user: 1337,
    description: 'Isthmus: the proxy (Envoy) and its redirect rules',
  },
};

/** Image name, with or without registry and tag, as the user gave it -> program: see own-images.ts. */
export type OwnImages = Readonly<Record<string, ImageProgram>>;

/**
 * The program behind `image` (`[registry/]name[:tag][@digest]`), or the closest names. The user's own come first, and
 * among them the name that says most.
 */
export function resolveImage(image: string, own: OwnImages = {}): ImageResolution {
  const names = namesOf(image).flatMap((name) => [name, ...mirrorOf(name)]);
  const program = names.map((name) => own[name] ?? CATALOGUE[name]).find((found) => found);
  if (program) return { kind: 'program', program };
  const known = [...Object.keys(own), ...Object.keys(CATALOGUE)];
  return { kind: 'unknown', closest: closestNames(names.at(-1)!, [...new Set(known)], 3) };
}

/** What an image may be listed as, the most particular first; the last is without registry and tag. */
function namesOf(image: string): string[] {
  const tagged = image.replace(/@.*$/, '');
  const untagged = tagged.replace(/:[^/]*$/, '');
  return [...new Set([tagged, withoutRegistry(tagged), untagged, withoutRegistry(untagged)])];
}

/** Where Istio's images lie besides `istio/` of Docker Hub. */
const ISTIO_REGISTRIES = /^(?:registry\.istio\.io\/(?:release|testing)|gcr\.io\/istio-(?:release|testing))\//;

function mirrorOf(name: string): string[] {
  return ISTIO_REGISTRIES.test(name) ? [name.replace(ISTIO_REGISTRIES, 'istio/')] : [];
}

/** A first part with a dot or a port, or `localhost`, is a registry (the rule of the Docker reference grammar). */
function withoutRegistry(name: string): string {
  const [first, ...rest] = name.split('/');
  return first !== undefined && rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
    ? rest.join('/')
    : name;
}
