# SPDX-License-Identifier: Apache-2.0
# What seed 000 asks for before it starts: two clusters, one root of trust, the mesh on both, and a stub domain for .global.
# CERTS names the folder that `./isthmus certs --clusters cluster1,cluster2` wrote.
set -e
for context in cluster1 cluster2; do
  kubectl create --context=$context namespace istio-system
  kubectl create --context=$context secret generic cacerts -n istio-system \
    --from-file=$CERTS/$context/ca-cert.pem \
    --from-file=$CERTS/$context/ca-key.pem \
    --from-file=$CERTS/$context/root-cert.pem \
    --from-file=$CERTS/$context/cert-chain.pem
  ./isthmus install --context $context
  kubectl apply --context=$context -f - <<END
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-dns
  namespace: kube-system
data:
  stubDomains: |
    {"global": ["$(kubectl get --context=$context svc -n istio-system istiocoredns -o jsonpath={.spec.clusterIP})"]}
END
done
