# SPDX-License-Identifier: Apache-2.0
# Sourced by ./isthmus and tools/setup.sh, with $root set: is the clone set up, and is its bundle of today?

# What set-up depends on: a change of any of these (a pull) makes it run again.
stamp() {
  {
    cat "$root/package-lock.json" "$root/tools/versions.env" "$root/tools/generate-envoy-api.ts"
    find "$root/proto" -name '*.proto' -exec cat {} +
  } | cksum
}

# Also false when something was removed since, or when the clone was moved: its Node is named by path.
is_ready() {
  [ -f "$root/.tools/ready" ] && [ "$(cat "$root/.tools/ready")" = "$(stamp)" ] || return 1
  . "$root/.tools/env"
  [ -x "$ISTHMUS_NODE" ] && [ -x "$root/.tools/envoy/envoy" ] && [ -d "$root/node_modules" ] && [ -d "$root/gen" ]
}

# A source that is newer than the bundle (a checkout, an edit) makes a new one: it takes a second.
is_bundled() {
  [ -f "$root/dist/isthmus.mjs" ] &&
    [ -z "$(find "$root/src" "$root/gen" "$root/rolldown.config.ts" -newer "$root/dist/isthmus.mjs" -type f -print -quit)" ]
}
