# 您可以通过打印 `sleep` pod 的 `istio-proxy` 容器日志来验证访问的 endpoint 的 IP 地址。
kubectl logs --context=$CTX_CLUSTER1 -n sample $(kubectl get pod --context=$CTX_CLUSTER1 -n sample -l app=sleep -o jsonpath='{.items[0].metadata.name}') istio-proxy
