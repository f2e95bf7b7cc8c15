# 部署 Istio 到 `cluster1` 集群:
kubectl create --context=$CTX_CLUSTER1 ns istio-system
kubectl create --context=$CTX_CLUSTER1 secret generic cacerts -n istio-system --from-file=samples/certs/ca-cert.pem --from-file=samples/certs/ca-key.pem --from-file=samples/certs/root-cert.pem --from-file=samples/certs/cert-chain.pem
for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl apply --context=$CTX_CLUSTER1 -f $i; done
kubectl create --context=$CTX_CLUSTER1 -f istio-auth.yaml
