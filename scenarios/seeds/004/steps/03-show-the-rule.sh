kubectl get virtualservice reviews -o yaml
