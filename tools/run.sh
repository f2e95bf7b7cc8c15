#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one of the project's TypeScript tools on the Node that setup.sh found.
set -eu
cd "$(dirname -- "$(readlink -f -- "$0")")/.."
. .tools/env
PATH="${ISTHMUS_NODE%/*}:$PWD/node_modules/.bin:$PATH"
export PATH
exec "$ISTHMUS_NODE" --disable-warning=ExperimentalWarning "$@"
