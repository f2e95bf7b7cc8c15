# SPDX-License-Identifier: Apache-2.0
# Cleaning up cluster1
kubectl delete --context=$CTX_CLUSTER1 -n foo -f samples/sleep/sleep.yaml
kubectl delete --context=$CTX_CLUSTER1 -n foo serviceentry httpbin-bar
kubectl delete --context=$CTX_CLUSTER1 ns foo
