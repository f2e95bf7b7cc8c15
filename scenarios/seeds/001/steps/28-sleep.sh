# 部署 `sleep` 服务:
kubectl create --context=$CTX_CLUSTER1 -f samples/sleep/sleep.yaml -n sample
