# 清理 `cluster1` 集群:
kubectl delete --context=$CTX_CLUSTER1 -f istio-auth.yaml
kubectl delete --context=$CTX_CLUSTER1 ns istio-system
for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl delete --context=$CTX_CLUSTER1 -f $i; done
kubectl delete --context=$CTX_CLUSTER1 ns sample
unset CTX_CLUSTER1
rm istio-auth.yaml n2-k8s-config
