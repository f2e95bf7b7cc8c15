# The address of cluster2's gateway
export CLUSTER2_GW_ADDR=$(kubectl get svc --selector=app=istio-ingressgateway \
  -n istio-system -o jsonpath="{.items[0].status.loadBalancer.ingress[0].ip}")
