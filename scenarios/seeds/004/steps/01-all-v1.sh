kubectl apply -f samples/bookinfo/networking/virtual-service-all-v1.yaml
