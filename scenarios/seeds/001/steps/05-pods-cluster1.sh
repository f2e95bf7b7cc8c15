# 等待 `cluster1` Istio pods 准备完毕:
kubectl get pods --context=$CTX_CLUSTER1 -n istio-system
