# SPDX-License-Identifier: Apache-2.0
# Cleaning up cluster2
kubectl delete --context=$CTX_CLUSTER2 -n bar -f samples/httpbin/httpbin.yaml
kubectl delete --context=$CTX_CLUSTER2 ns bar
