# 编辑 istio configmap
kubectl edit cm -n istio-system --context=$CTX_CLUSTER1 istio
