# The control plane: generated once, applied to each cluster
./isthmus manifest generate install/kubernetes/helm/istio --name istio --namespace istio-system \
  -f install/kubernetes/helm/istio/values-istio-multicluster-gateways.yaml > ./istio.yaml
for context in cluster1 cluster2; do
kubectl config use-context $context
kubectl apply -f ./istio.yaml
done
for context in cluster1 cluster2; do
kubectl --context $context wait -n istio-system --for=condition=Available deployment --all --timeout=120s
done
