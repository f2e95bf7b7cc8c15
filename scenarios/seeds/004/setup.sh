# SPDX-License-Identifier: Apache-2.0
# What seed 004 asks for before it starts: the mesh, Bookinfo with its page at the gateway, and the default destination
# rules. One cluster is enough: the one of kubectl's current context.
set -e
./isthmus install
kubectl label namespace default istio-injection=enabled
kubectl apply -f samples/bookinfo/platform/kube/bookinfo.yaml
kubectl apply -f samples/bookinfo/networking/bookinfo-gateway.yaml
kubectl apply -f samples/bookinfo/networking/destination-rule-all.yaml
kubectl wait --for=condition=Available deployment --all --timeout=120s
