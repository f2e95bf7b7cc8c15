kubectl delete -f samples/bookinfo/networking/virtual-service-all-v1.yaml
