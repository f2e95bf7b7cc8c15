// SPDX-License-Identifier: Apache-2.0
import { codesOf, type Diagnostic } from '../../api/diagnostics.ts';
import type { ClusterFact, EntryFact, PodFact, RouteFact, RuleFact, ServiceFact } from '../../describe/facts.ts';
import { renderRemarks } from '../analyze/render.ts';

const LINE = '--------------------';

export function renderPod(pod: PodFact): string {
  const { name, namespace, cluster, phase, proxy, because, identity, ports, mtls, services, rules, problems } = pod;
  const own = [
    `Pod: ${name}.${namespace} (${cluster}, ${phase})`,
    `   Proxy: ${proxy === 'none' ? `none: ${because}` : `${proxy}, ${because}`}`,
    ...(identity === undefined ? [] : [`   Identity: ${identity}`]),
    ...(ports.length === 0
      ? []
      : [
          `   Ports: ${ports.map(({ port, container, protocol }) => `${port}${protocol === 'TCP' ? '' : `/${protocol}`} (${container})`).join(', ')}`,
        ]),
    `   Lets in: ${mtls}`,
    ...(rules.length === 0 ? [] : ['   Shaped by:', ...rules.map((rule) => `      ${nameOf(rule)}`)]),
  ];
  const behind =
    services.length === 0 ? `${LINE}\nNo Service selects this pod: nobody in the mesh calls it by a name.\n` : '';
  return `${own.join('\n')}\n${behind}${services.map((service) => `${LINE}\n${renderService(service)}`).join('')}${renderProblems([...problems, ...services.flatMap((service) => service.problems)])}`;
}

export function renderServices(services: readonly ServiceFact[]): string {
  return `${services.map(renderService).join(`${LINE}\n`)}${renderProblems(services.flatMap(({ problems }) => problems))}`;
}

function renderService(service: ServiceFact): string {
  const {
    name,
    namespace,
    cluster,
    addresses,
    ports,
    destinationRule,
    routes,
    entries,
    security,
    endpoints,
    clusters,
    seenBy,
  } = service;
  const lines = [
    `Service: ${name}.${namespace} (${cluster}${addresses.length === 0 ? '' : `, ${addresses.join(', ')}`})`,
    ...ports.map(
      ({ name: portName, port, targetPort, protocol }) =>
        `   Port: ${portName === '' ? '' : `${portName} `}${port} speaks ${protocol}, targets pod port ${targetPort}`,
    ),
    `   Clients: ${security}`,
    ...(destinationRule === undefined ? [] : renderDestinationRule(destinationRule)),
    ...(routes.length === 0
      ? ['   Routes: none; requests go to any endpoint']
      : [`   Routes, as ${seenBy} has them:`, ...routes.map((route) => `      ${renderRoute(route, namespace)}`)]),
    ...entries.flatMap((entry) => renderEntry(entry, namespace)),
    `   Endpoints: ${endpoints.length === 0 ? 'none' : endpoints.map(({ cluster: where, ready }) => `${ready} in ${where}`).join(', ')}`,
    ...clusters.flatMap((each) => renderCluster(each, cluster)),
  ];
  return `${lines.join('\n')}\n`;
}

function renderDestinationRule({ subsets, policy, ...rule }: NonNullable<ServiceFact['destinationRule']>): string[] {
  const described = subsets.map(({ name, labels, hasPod, endpoints }) => {
    const of = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    return `      subset ${name} (${of}): ${hasPod === true ? 'this pod is in it, ' : ''}${endpoints} ${endpoints === 1 ? 'endpoint' : 'endpoints'}`;
  });
  return [
    `   DestinationRule: ${rule.name}.${rule.namespace}${policy.length === 0 ? '' : ` (${policy.join(', ')})`}`,
    ...described,
  ];
}

function renderRoute({ port, match, to, policy, rule }: RouteFact, namespace: string): string {
  const shares = to.map(({ host, subset, percent, port: toPort }) => {
    const where = `${shortened(host, namespace)}${subset === undefined ? '' : ` ${subset}`}${toPort === port ? '' : `:${toPort}`}`;
    return to.length === 1 ? where : `${percent}% ${where}`;
  });
  const done = [...shares, ...policy].join(', ');
  return `${port}: ${match === '' ? 'every request' : match} -> ${done}   [${nameOf(rule)}]`;
}

function renderEntry({ gateway, addresses, hosts, tls, routes }: EntryFact, namespace: string): string[] {
  const at = addresses.length === 0 ? '' : ` (${addresses.join(', ')})`;
  return [
    `   Gateway ${gateway}${at}, ${tls ? 'https' : 'http'} for ${hosts.join(', ') || 'any host'}:`,
    ...routes.map((route) => `      ${renderRoute(route, namespace)}`),
  ];
}

function renderCluster(
  { cluster, hasService, pods, exportedAs, importedBy, remarks }: ClusterFact,
  own: string,
): string[] {
  const parts = [
    ...(cluster === own
      ? []
      : [hasService ? `has the Service too, with ${pods} ${pods === 1 ? 'pod' : 'pods'}` : 'has no such Service']),
    ...(exportedAs.length === 0 ? [] : [`exports it as ${exportedAs.join(', ')}`]),
    ...(importedBy === undefined ? [] : [`knows other clusters' part by ${nameOf(importedBy)}`]),
    ...remarks,
  ];
  return parts.length === 0 ? [] : [`   In ${cluster}: ${parts.join('; ')}`];
}

function renderProblems(problems: readonly Diagnostic[]): string {
  const once = [...new Map(problems.map((each) => [JSON.stringify(each), each])).values()];
  return once.length === 0 ? '' : `${LINE}\n${renderRemarks(once, 'log', process.stdout.isTTY === true)}`;
}

/** `reviews` for a service of the same namespace. */
function shortened(host: string, namespace: string): string {
  const own = `.${namespace}.svc.cluster.local`;
  return host.endsWith(own) ? host.slice(0, -own.length) : host;
}

function nameOf({ kind, namespace, name, field }: RuleFact): string {
  return `${kind} ${namespace}/${name}${field === undefined ? '' : ` ${field}`}`;
}

/** As JSON and YAML have it: with the codes that are shown everywhere. */
export function plainFact(fact: PodFact | ServiceFact): unknown {
  const problems = fact.problems.map((each) => ({ ...each, ...codesOf(each) }));
  return fact.kind === 'Pod' ? { ...fact, services: fact.services.map(plainFact), problems } : { ...fact, problems };
}
