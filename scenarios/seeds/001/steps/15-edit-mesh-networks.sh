# 更新网格网络配置中的 gateway 地址。编辑 `istio` `ConfigMap`
export KUBE_EDITOR=scenarios/seeds/001/edit-network2.sh
kubectl edit cm -n istio-system --context=$CTX_CLUSTER1 istio
