# The mesh's kinds, in each cluster
for context in cluster1 cluster2; do
kubectl config use-context $context
for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl apply -f $i; done
done
