# 使用 sidecar 自动注入标签创建一个 `sample` namespace
kubectl create --context=$CTX_CLUSTER2 ns sample
kubectl label --context=$CTX_CLUSTER2 namespace sample istio-injection=enabled
