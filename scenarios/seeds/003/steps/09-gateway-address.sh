# SPDX-License-Identifier: Apache-2.0
# Where cluster2 is reached
export CLUSTER2_GW_ADDR=$(kubectl get --context=$CTX_CLUSTER2 svc --selector=app=istio-ingressgateway \
  -n istio-system -o jsonpath='{.items[0].status.loadBalancer.ingress[0].ip}')
