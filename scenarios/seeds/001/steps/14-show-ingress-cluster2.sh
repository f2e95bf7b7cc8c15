# 输出 `INGRESS_HOST``SECURE_INGRESS_PORT` 的值:
echo The ingress gateway of cluster2: address=$INGRESS_HOST, port=$SECURE_INGRESS_PORT
