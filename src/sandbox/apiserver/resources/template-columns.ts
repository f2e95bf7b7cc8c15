// SPDX-License-Identifier: Apache-2.0
// The columns that `kubectl get -o wide` shows of a pod template and its selector, for every kind that has them.
import type { KubeObject } from '../../../kube/types.ts';
import { column, type TableColumn } from '../tables/table.ts';
import { type SelectorSpec, selectorText } from './label-selector-text.ts';
import type { PodTemplate } from './pod-template.ts';

interface Templated {
  readonly selector?: SelectorSpec;
  readonly template?: PodTemplate;
}

/** @param read where the object keeps them */
export function templateColumns(read: (object: KubeObject) => Templated | undefined): TableColumn[] {
  return [
    ...containerColumns((object) => read(object)?.template),
    column('Selector', (object) => selectorText(read(object)?.selector) || '<none>', { wide: true }),
  ];
}

export function containerColumns(template: (object: KubeObject) => PodTemplate | undefined): TableColumn[] {
  return [
    column('Containers', (object) => containerNames(template(object)), { wide: true }),
    column('Images', (object) => containerImages(template(object)), { wide: true }),
  ];
}

export function containerNames(template: PodTemplate | undefined): string {
  return (template?.spec?.containers ?? []).map(({ name }) => name).join(',');
}

export function containerImages(template: PodTemplate | undefined): string {
  return (template?.spec?.containers ?? []).map(({ image = '' }) => image).join(',');
}
