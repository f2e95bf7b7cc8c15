// SPDX-License-Identifier: Apache-2.0
// The naming rules of Kubernetes objects. Each function gives the refusal's text, or undefined when all is well.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/

const LABEL_1123 = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN_1123 = `${LABEL_1123}(\\.${LABEL_1123})*`;
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = `(${QUALIFIED})?`;
const CONFIG_KEY = '[-._a-zA-Z0-9]+';

export type NameRule = (name: string) => string | undefined;

function rule(form: string, maxLength: number, text: string, examples: readonly string[]): NameRule {
  const whole = new RegExp(`^${form}$`);
  const shown = examples
    .map((example) => `'${example}', `)
    .join(' or ')
    .replace(/, $/, '');
  const message = `${text} (e.g. ${shown}, regex used for validation is '${form}')`;
  return (name) => {
    const problems: string[] = [];
    if (name.length > maxLength) problems.push(`must be no more than ${maxLength} bytes`);
    if (!whole.test(name)) problems.push(message);
    return problems[0];
  };
}

export const subdomainProblem = rule(
  SUBDOMAIN_1123,
  253,
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  ['example.com'],
);

export const dnsLabelProblem = rule(
  LABEL_1123,
  63,
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  ['my-name', '123-abc'],
);

export const dns1035Problem = rule(
  LABEL_1035,
  63,
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  ['my-name', 'abc-123'],
);

export const labelValueProblem = rule(
  LABEL_VALUE,
  63,
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  ['MyValue', 'my_value', '12345'],
);

export const configKeyProblem = rule(
  CONFIG_KEY,
  253,
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
  ['key.name', 'KEY_NAME', 'key-name'],
);

const namePart = rule(
  QUALIFIED,
  63,
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  ['MyName', 'my.name', '123-abc'],
);

/** RBAC names may hold colons and the like; only path segments are refused. */
export const pathSegmentProblem: NameRule = (name) => {
  if (name === '.' || name === '..') return `may not be '${name}'`;
  for (const char of ['/', '%']) if (name.includes(char)) return `may not contain '${char}'`;
  return undefined;
};

/** Keys of labels and annotations: "name" or "prefix/name". */
export function qualifiedNameProblem(key: string): string | undefined {
  const parts = key.split('/');
  if (parts.length > 2) {
    return `a valid label key must consist of alphanumeric characters, '-', '_' or '.' with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`;
  }
  const [prefix, name] = parts.length === 2 ? (parts as [string, string]) : [undefined, parts[0]!];
  if (prefix === '') return 'prefix part must be non-empty';
  const wrong = prefix === undefined ? undefined : subdomainProblem(prefix);
  if (wrong) return `prefix part ${wrong}`;
  if (name === '') return 'name part must be non-empty';
  return namePart(name);
}

/** IANA_SVC_NAME: names of container ports. */
export function portNameProblem(name: string): string | undefined {
  if (name.length > 15) return 'must be no more than 15 characters';
  if (!/^[-a-z0-9]+$/.test(name)) return 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)';
  if (!/[a-z]/.test(name)) return 'must contain at least one letter (a-z)';
  if (name.includes('--')) return 'must not contain consecutive hyphens';
  if (name.startsWith('-') || name.endsWith('-')) return 'must not begin or end with a hyphen';
  return undefined;
}
