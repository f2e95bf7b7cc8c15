# SPDX-License-Identifier: Apache-2.0
# The control plane in each cluster, below one root
for context in cluster1 cluster2; do
  kubectl config use-context $context
  kubectl create namespace istio-system
  kubectl create secret generic cacerts -n istio-system \
    --from-file=samples/certs/ca-cert.pem \
    --from-file=samples/certs/ca-key.pem \
    --from-file=samples/certs/root-cert.pem \
    --from-file=samples/certs/cert-chain.pem
  istioctl manifest apply \
    -f install/kubernetes/operator/examples/multicluster/values-istio-multicluster-gateways.yaml
done
kubectl config use-context cluster1
