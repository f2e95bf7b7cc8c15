# 确定 `helloworld v2` 在运行中:
kubectl get po --context=$CTX_CLUSTER2 -n sample
