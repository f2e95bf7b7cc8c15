# 等待 `istio-ingressgateway`准备完成:
kubectl get pods --context=$CTX_CLUSTER2 -n istio-system -l istio=ingressgateway
