# 使用配置的上下文名称导出以下环境变量:
export CTX_CLUSTER1=cluster1
export CTX_CLUSTER2=cluster2
