# helloworld v2 and v3 in cluster2
kubectl config use-context cluster2
kubectl create namespace hello
kubectl label namespace hello istio-injection=enabled
kubectl apply -n hello -f samples/helloworld/service.yaml
kubectl apply -n hello -f samples/helloworld/helloworld.yaml -l version=v2
kubectl apply -n hello -f samples/helloworld/helloworld.yaml -l version=v3
