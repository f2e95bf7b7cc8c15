// SPDX-License-Identifier: Apache-2.0
// The node against the sandbox's own API server, seen by stock kubectl.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatsSummary } from '../../src/sandbox/node/kubelet/stats-summary.ts';
import { findProgram } from '../fixture/sandbox.ts';
import { Playground, probeModes } from './playground.ts';

const usable = probeModes().filter(({ unavailable }) => unavailable === undefined);
const hasKubectl = findProgram('kubectl') !== undefined;

interface ShellResult {
  code: number;
  stdout: string;
  stderr: string;
}

describe.skipIf(usable.length === 0 || !hasKubectl)('the node, through the Kubernetes API', () => {
  let ground: Playground;
  const kubectl = async (line: string, input = ''): Promise<string> => {
    const result = await ground.call<ShellResult>('sh', `kubectl ${line}`, input);
    if (result.code !== 0) throw new Error(`kubectl ${line}: ${result.stderr}`);
    return result.stdout;
  };
  const apply = (...objects: object[]) =>
    kubectl('apply -f -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));

  beforeAll(async () => {
    ground = new Playground(usable[0]?.mode ?? 'root', 'cluster-agent.ts');
    await ground.call('ready');
  });
  afterAll(() => ground.close());

  const pod = (name: string, line: string, container: object = {}, spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      containers: [{ name: 'c', image: 'governmentpaas/curl-ssl', command: ['sh', '-c', line], ...container }],
      ...spec,
    },
  });

  it('registers', async () => {
    const node = JSON.parse(await kubectl('get node c1-node -o json'));
    expect(node.status.daemonEndpoints.kubeletEndpoint.Port).toBe(10250);
    expect(node.status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
    expect(await kubectl('get nodes')).toMatch(/c1-node\s+Ready/);
    expect(await kubectl('get lease -n kube-node-lease c1-node -o name')).toContain('c1-node');
  });

  it('runs a pod with its token, and shows logs, exec, status and events', async () => {
    await apply(pod('web', 'echo started; exec sleep 600'));
    await kubectl('wait --for=condition=Ready pod/web --timeout=10s');
    expect(await kubectl('get pod web')).toMatch(/web\s+1\/1\s+Running\s+0/);
    expect(await kubectl('logs web')).toBe('started\n');
    expect(await kubectl('exec web -- cat /var/run/secrets/kubernetes.io/serviceaccount/namespace')).toBe('default');
    expect(await kubectl('exec web -- sh -c "cat; echo done" </dev/null -i', 'x')).toBe('done\n');
    expect(await kubectl('exec -i web -- cat', 'through')).toBe('through');
    const failing = await ground.call<ShellResult>('sh', 'kubectl exec web -- sh -c "echo no >&2; exit 9"');
    expect(failing).toMatchObject({ code: 9, stdout: '' });
    expect(failing.stderr).toContain('no\n');
    expect(await kubectl('get events --field-selector involvedObject.name=web -o name')).toContain('event/');
    const token = await kubectl('exec web -- cat /var/run/secrets/kubernetes.io/serviceaccount/token');
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims.sub).toBe('system:serviceaccount:default:default');
    expect(claims['kubernetes.io'].pod.name).toBe('web');
  });

  it('forwards ports to programs that listen on the pod’s loopback only', async () => {
    const server = "require('http').createServer((q, r) => r.end('hello')).listen(9090, '127.0.0.1')";
    await apply(pod('local', `exec node -e "${server}"`, { readinessProbe: { exec: { command: ['true'] } } }));
    await kubectl('wait --for=condition=Ready pod/local --timeout=10s');
    const line = `kubectl port-forward pod/local 19090:9090 >/dev/null & sleep 1; curl -s http://127.0.0.1:19090/; kill $!`;
    expect((await ground.call<ShellResult>('sh', line)).stdout).toBe('hello');
    await kubectl('delete pod local --timeout=10s');
  });

  it('gives a terminal with the size of the client', async () => {
    const line = `script -qec 'stty rows 31 cols 99; kubectl exec -it web -- sh -c "stty size; tty"' /dev/null`;
    const { stdout } = await ground.call<ShellResult>('sh', line);
    expect(stdout).toContain('31 99');
    expect(stdout).toContain('/dev/pts/');
  });

  it('attaches to a program on a terminal of its own', async () => {
    // The size comes when it comes; what is typed is echoed, so it must not hold what is looked for.
    const sized = 'n=0; until [ "$(stty size)" = "$((30+1)) 99" ] || [ $n = 99 ]; do n=$((n+1)); sleep 0.1; done';
    const line = `(sleep 1.5; echo 'echo $((6*7)); ${sized}; stty size; exit 0') | script -qec 'stty rows 31 cols 99; kubectl run -it shell --restart=Never --image=curlimages/curl --command -- sh' /dev/null`;
    const { stdout } = await ground.call<ShellResult>('sh', line);
    expect(stdout).toContain('\r\n42\r\n');
    expect(stdout).toContain('31 99');
    expect(await kubectl("get pod shell -o jsonpath='{.status.phase}'")).toBe('Succeeded');
    await kubectl('delete pod shell');
  });

  it('attaches to a program that is piped to, and tells its end once', async () => {
    const line = `echo 'echo $((6*7)); exit 3' | kubectl run -i --rm piped --restart=Never --image=curlimages/curl --command -- sh`;
    const { stdout, stderr, code } = await ground.call<ShellResult>('sh', line);
    expect(stdout.match(/^42$/gm)).toHaveLength(1);
    expect(stderr).not.toContain('attach');
    expect(code).toBe(3);
  });

  it('copies files in and out, whoever owned them, also to a container of uid 0', async () => {
    await apply(pod('box', 'exec sleep 600', { securityContext: { runAsUser: 0 } }));
    await kubectl('wait --for=condition=Ready pod/box --timeout=10s');
    await ground.call(
      'sh',
      'mkdir -p $HOME/in/sub; echo text >$HOME/in/sub/file; chown -R 12345 $HOME/in 2>/dev/null || :',
    );
    await kubectl('cp $HOME/in box:/tmp/in');
    await kubectl('cp box:/tmp/in/sub $HOME/out');
    expect((await ground.call<ShellResult>('sh', 'cat $HOME/out/file')).stdout).toBe('text\n');
    await kubectl('delete pod box --now');
  });

  it('follows, cuts and dates logs', async () => {
    await apply(pod('talk', 'for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; exec sleep 600'));
    await kubectl('wait --for=condition=Ready pod/talk --timeout=10s');
    const followed = await ground.call<ShellResult>('sh', 'timeout 2 kubectl logs -f talk');
    expect(followed.stdout).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
    expect(await kubectl('logs --tail=2 talk')).toBe('line 4\nline 5\n');
    expect(await kubectl('logs --limit-bytes=6 talk')).toBe('line 1');
    expect(await kubectl('logs --timestamps --tail=1 talk')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z line 5\n$/);
    expect(await kubectl('logs --since=1h --tail=1 talk')).toBe('line 5\n');
  });

  it('shows the log of the start before', async () => {
    await apply(
      pod(
        'again',
        'echo life; [ -e /w/x ] && exec sleep 600; touch /w/x; exit 1',
        {
          volumeMounts: [{ name: 'w', mountPath: '/w' }],
        },
        { volumes: [{ name: 'w', emptyDir: {} }] },
      ),
    );
    await kubectl("wait --for=jsonpath='{.status.containerStatuses[0].restartCount}'=1 pod/again --timeout=10s");
    expect(await kubectl('logs --previous again')).toBe('life\n');
    expect(await kubectl('logs again')).toBe('life\n');
    expect(
      await kubectl("get pod again -o jsonpath='{.status.containerStatuses[0].lastState.terminated.exitCode}'"),
    ).toBe('1');
  });

  it('says what an unknown image is like', async () => {
    await apply(pod('typo', 'true', { image: 'istio/examples-bookinfo-detials-v1:1.10.0' }));
    await kubectl(
      "wait --for=jsonpath='{.status.containerStatuses[0].state.waiting.reason}'=ImagePullBackOff pod/typo --timeout=10s",
    );
    const described = await kubectl('describe pod typo');
    expect(described).toContain('isthmus sandbox images');
    expect(described).toContain('istio/examples-bookinfo-details-v1');
    const logs = await ground.call<ShellResult>('sh', 'kubectl logs typo');
    expect(logs.stderr).toContain('trying and failing to pull image');
  });

  it('deletes gracefully, and lets the address go', async () => {
    await kubectl('delete pod web talk again typo --timeout=10s');
    expect(await kubectl('get pods -o name')).toBe('');
    expect((await ground.call<ShellResult>('sh', 'ip netns list')).stdout.trim()).toBe('');
    expect((await ground.call<ShellResult>('sh', 'ls $HOME/node/pods')).stdout).toBe('');
  });

  it('starts a pod in tenths of a second', async () => {
    await apply(pod('fast', 'exec sleep 600'));
    await kubectl('wait --for=condition=Ready pod/fast --timeout=10s');
    const { metadata, status } = JSON.parse(await kubectl('get pod fast -o json'));
    expect(metadata.creationTimestamp).toBeDefined();
    expect(status.phase).toBe('Running');
  });

  it('answers on the kubelet’s port to the API server only', async () => {
    const pki = await ground.call<{
      kubeconfig: { admin: string };
      kubeletClientCert: string;
      kubeletClientKey: string;
    }>('pki');
    const curl = async (options: string) => {
      const line = `curl -sk -o /dev/null -w '%{http_code}' ${options} https://10.1.0.1:10250/pods`;
      return (await ground.call<ShellResult>('sh', line)).stdout;
    };
    expect(await curl('')).toBe('401');
    expect(await curl(`--cert ${pki.kubeletClientCert} --key ${pki.kubeletClientKey}`)).toBe('200');
    const extract = (field: string) => `kubectl config view --raw -o jsonpath='{.users[0].user.${field}}' | base64 -d`;
    await ground.call(
      'sh',
      `${extract('client-certificate-data')} >$HOME/a.crt; ${extract('client-key-data')} >$HOME/a.key`,
    );
    expect(await curl('--cert $HOME/a.crt --key $HOME/a.key')).toBe('403');
  });

  it('tells what containers use, by their processes', async () => {
    await apply(pod('busy', 'while :; do :; done'), pod('idle', 'exec sleep 600'));
    await kubectl('wait --for=condition=Ready pod/busy pod/idle --timeout=10s');
    const pki = await ground.call<{ kubeletClientCert: string; kubeletClientKey: string }>('pki');
    const options = `--cert ${pki.kubeletClientCert} --key ${pki.kubeletClientKey}`;
    const { stdout } = await ground.call<ShellResult>('sh', `curl -sk ${options} https://10.1.0.1:10250/stats/summary`);
    const { node, pods } = JSON.parse(stdout) as StatsSummary;
    const stats = (name: string) => pods.find(({ podRef }) => podRef.name === name)?.containers[0];
    expect(stats('busy')?.cpu.usageNanoCores).toBeGreaterThan(10_000_000);
    expect(stats('idle')?.cpu.usageNanoCores).toBeLessThan(stats('busy')?.cpu.usageNanoCores ?? 0);
    expect(stats('idle')?.memory.workingSetBytes).toBeGreaterThan(50_000);
    expect(node.cpu.usageNanoCores).toBeGreaterThan(0);
    await kubectl('delete pod busy idle --now');
  });

  it('takes its pods up again after kill -9, with nothing left of their old processes', async () => {
    await apply(pod('finished', 'echo the end', {}, { restartPolicy: 'Never' }));
    await apply(pod('cut', 'exec sleep 601', {}, { restartPolicy: 'Never' }));
    await kubectl("wait --for=jsonpath='{.status.phase}'=Succeeded pod/finished --timeout=10s");
    await kubectl('wait --for=condition=Ready pod/cut --timeout=10s');
    await ground.crash();
    await ground.call('ready');
    await kubectl("wait --for=jsonpath='{.status.containerStatuses[0].restartCount}'=1 pod/fast --timeout=10s");
    await kubectl('wait --for=condition=Ready pod/fast --timeout=10s');
    const { stdout } = await ground.call<ShellResult>('sh', 'pgrep -fc "^sleep 60"');
    expect(stdout.trim()).toBe('1');
    // What must not start again does not: its logs stay, and its end is told.
    expect(await kubectl('logs finished')).toBe('the end\n');
    expect(
      await kubectl("get pod finished -o jsonpath='{.status.phase}{.status.containerStatuses[0].restartCount}'"),
    ).toBe('Succeeded0');
    await kubectl("wait --for=jsonpath='{.status.phase}'=Failed pod/cut --timeout=10s");
    const exitCode = '{.status.containerStatuses[0].state.terminated.exitCode}';
    expect(await kubectl(`get pod cut -o jsonpath='${exitCode}'`)).toBe('137');
    await kubectl('delete pod --all --timeout=10s');
    expect((await ground.call<ShellResult>('sh', 'ls $HOME/node/pods; ip netns list')).stdout).toBe('');
  });
});
