# 等待 `cluster2` pod 的状态,特别是 `istio-ingressgateway` 的状态为已就绪:
kubectl get pods --context=$CTX_CLUSTER2 -n istio-system -l istio!=ingressgateway
