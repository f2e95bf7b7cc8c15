# 确定 `helloworld v1` 运行中:
kubectl get po --context=$CTX_CLUSTER1 -n sample
