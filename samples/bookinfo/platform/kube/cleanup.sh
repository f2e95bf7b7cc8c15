#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Removes Bookinfo and the rules for it from a namespace: $NAMESPACE, else `default`. What is not there is no mistake.
# KUBECTL may name another program, or flags: KUBECTL='kubectl --context cluster1'.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
kubectl=${KUBECTL:-kubectl}
namespace=${NAMESPACE:-default}
for file in bookinfo-gateway destination-rule-all virtual-service-all-v1; do
  $kubectl delete -n "$namespace" --ignore-not-found -f "$here/../../networking/$file.yaml"
done
$kubectl delete -n "$namespace" --ignore-not-found -f "$here/bookinfo.yaml"
