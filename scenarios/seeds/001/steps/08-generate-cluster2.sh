# 使用 Helm 创建 Istio `cluster2` deployment YAML
./isthmus manifest generate --name istio-remote --namespace=istio-system \
  --values install/kubernetes/helm/istio/values-istio-remote.yaml \
  --set global.mtls.enabled=true \
  --set gateways.enabled=true \
  --set security.selfSigned=false \
  --set global.controlPlaneSecurityEnabled=true \
  --set global.createRemoteSvcEndpoints=true \
  --set global.remotePilotCreateSvcEndpoint=true \
  --set global.remotePilotAddress=${LOCAL_GW_ADDR} \
  --set global.remotePolicyAddress=${LOCAL_GW_ADDR} \
  --set global.remoteTelemetryAddress=${LOCAL_GW_ADDR} \
  --set gateways.istio-ingressgateway.env.ISTIO_META_NETWORK="network2" \
  --set global.network="network2" \
  install/kubernetes/helm/istio > istio-remote-auth.yaml
