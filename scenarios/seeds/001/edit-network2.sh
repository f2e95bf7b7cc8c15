#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What somebody in the editor of `kubectl edit cm -n istio-system istio` does: below meshNetworks.network2, the gateway's
# address and port become those that the step before has printed.
set -e
sed -i -E "/^ *network2:/,\$ {
  s/^( *-? *address:) .*/\1 $INGRESS_HOST/
  s/^( *-? *port:) .*/\1 $SECURE_INGRESS_PORT/
}" "$1"
