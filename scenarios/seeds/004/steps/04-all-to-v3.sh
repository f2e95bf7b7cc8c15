kubectl apply -f samples/bookinfo/networking/virtual-service-reviews-v3.yaml
