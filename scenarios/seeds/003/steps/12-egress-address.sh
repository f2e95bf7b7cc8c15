# SPDX-License-Identifier: Apache-2.0
# Where the way out is
export CLUSTER1_EGW_ADDR=$(kubectl get --context=$CTX_CLUSTER1 svc --selector=app=istio-egressgateway \
  -n istio-system -o yaml -o jsonpath='{.items[0].spec.clusterIP}')
