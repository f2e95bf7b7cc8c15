export CTX_CLUSTER1=cluster1
export CTX_CLUSTER2=cluster2
