# 设置 `kubectl` 当前的上下文为 `CTX_CLUSTER2`
export ORIGINAL_CONTEXT=$(kubectl config current-context)
kubectl config use-context $CTX_CLUSTER2
