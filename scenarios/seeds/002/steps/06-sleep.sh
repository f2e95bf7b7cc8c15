# sleep in cluster1
kubectl config use-context cluster1
kubectl create namespace app1
kubectl label namespace app1 istio-injection=enabled
kubectl apply -n app1 -f samples/sleep/sleep.yaml
kubectl rollout status -n app1 deployment/sleep --timeout=120s
export SLEEP_POD=$(kubectl get -n app1 pod -l app=sleep -o jsonpath={.items..metadata.name})
