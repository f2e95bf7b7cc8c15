# 使用如下命令列出现存的上下文:
kubectl config get-contexts
