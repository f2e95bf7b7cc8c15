# 恢复 `kubectl` 之前的上下文:
kubectl config use-context $ORIGINAL_CONTEXT
unset ORIGINAL_CONTEXT
