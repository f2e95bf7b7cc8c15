# httpbin in cluster2
kubectl config use-context cluster2
kubectl create namespace app2
kubectl label namespace app2 istio-injection=enabled
kubectl apply -n app2 -f samples/httpbin/httpbin.yaml
