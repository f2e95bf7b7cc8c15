// SPDX-License-Identifier: Apache-2.0
// Remarks that somebody knows of and does not want to hear: `CODE=KIND NAME[.NAMESPACE]`, as istioctl takes them.
import { shownCode } from '../../api/diagnostics.ts';
import { UserError } from '../user-error.ts';
import type { Remark } from './judge.ts';

/** @throws UserError when one is not of that form */
export function readSuppressions(texts: readonly string[]): (remark: Remark) => boolean {
  const rules = texts.map(readSuppression);
  return (remark) => rules.some((rule) => rule(remark));
}

function readSuppression(text: string): (remark: Remark) => boolean {
  const [, code, kind, name] = /^(I[SM][TM]\d{4})=(\S+) (\S+)$/.exec(text) ?? [];
  if (code === undefined || kind === undefined || name === undefined) {
    throw new UserError(
      `--suppress ${JSON.stringify(text)}: write "CODE=KIND NAME.NAMESPACE", as "IST0102=Namespace default"`,
      2,
    );
  }
  const [isKind, isName] = [pattern(kind), pattern(name)];
  return (remark) => {
    const { object } = remark;
    const names =
      object.namespace === ''
        ? [object.name]
        : [`${object.name}.${object.namespace}`, `${object.namespace}/${object.name}`];
    return (
      [remark.code, shownCode(remark)].includes(code) &&
      isKind.test(object.kind) &&
      names.some((each) => isName.test(each))
    );
  };
}

/** `*` stands for any text. */
function pattern(text: string): RegExp {
  return new RegExp(
    `^${text
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );
}
