# SPDX-License-Identifier: Apache-2.0
# Removing the mesh from each cluster
for context in cluster1 cluster2; do
  kubectl config use-context $context
  istioctl manifest generate -f install/kubernetes/operator/examples/multicluster/values-istio-multicluster-gateways.yaml > $HOME/istio.yaml
  kubectl delete -f $HOME/istio.yaml
  kubectl delete ns istio-system
  for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl delete -f $i; done
done
kubectl config use-context cluster1
