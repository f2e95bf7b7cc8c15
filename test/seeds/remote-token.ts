// SPDX-License-Identifier: Apache-2.0
// Seed 001's kubeconfig of cluster2 with another token of the same account: in two steps, since between them the API
// server that gives the token may go away.
import type { SeedScenario } from './scenario.ts';

/** Gives the account istio-multi of cluster2 a second token, and writes the page's n2-k8s-config with it. */
export async function makeSecondToken(scenario: SeedScenario): Promise<void> {
  await scenario.bash(`
kubectl create --context=$CTX_CLUSTER2 -f - <<END
apiVersion: v1
kind: Secret
metadata:
  name: istio-multi-second-token
  namespace: istio-system
  annotations:
    kubernetes.io/service-account.name: istio-multi
type: kubernetes.io/service-account-token
END
# Not \`kubectl wait --for=jsonpath\`: Debian's kubectl (1.20) has no such condition.
for i in $(seq 150); do
  TOKEN=$(kubectl get --context=$CTX_CLUSTER2 secret istio-multi-second-token -n istio-system -o jsonpath='{.data.token}')
  [ -n "$TOKEN" ] && break
  sleep 0.2
done
TOKEN=$(kubectl get --context=$CTX_CLUSTER2 secret istio-multi-second-token -n istio-system \
  -o jsonpath='{.data.token}' | base64 --decode)
`);
  await scenario.step(19);
}

/** Puts n2-k8s-config, as it is now, into the secret that cluster1's control plane reads. */
export async function replaceKubeconfig(scenario: SeedScenario): Promise<void> {
  await scenario.bash(`
kubectl create --context=$CTX_CLUSTER1 secret generic n2-k8s-secret --from-file n2-k8s-config -n istio-system \
  --dry-run=client -o yaml | kubectl apply --context=$CTX_CLUSTER1 -f -`);
}
