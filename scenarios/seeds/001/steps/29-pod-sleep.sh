# 等到 `sleep` 服务启动:
kubectl get po --context=$CTX_CLUSTER1 -n sample -l app=sleep
