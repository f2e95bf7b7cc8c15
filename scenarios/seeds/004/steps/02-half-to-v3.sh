kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-50-v3.yaml
