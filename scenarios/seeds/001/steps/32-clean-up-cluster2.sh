# 清理 `cluster2` 集群:
kubectl delete --context=$CTX_CLUSTER2 -f istio-remote-auth.yaml
kubectl delete --context=$CTX_CLUSTER2 ns istio-system
kubectl delete --context=$CTX_CLUSTER2 ns sample
unset CTX_CLUSTER2 CLUSTER_NAME SERVER SECRET_NAME CA_DATA TOKEN INGRESS_HOST SECURE_INGRESS_PORT INGRESS_PORT
rm istio-remote-auth.yaml
