// SPDX-License-Identifier: Apache-2.0
// Where a pod may run: affinity, tolerations, spreading. Syntax: ../parse.ts.

export const CORE_SCHEDULING_TYPES = `
@core.v1
Affinity
  nodeAffinity* 1 NodeAffinity
  podAffinity* 2 PodAffinity
  podAntiAffinity* 3 PodAntiAffinity

Toleration
  key? 1 string
  operator? 2 string
  value? 3 string
  effect? 4 string
  tolerationSeconds* 5 int64

TopologySpreadConstraint
  maxSkew! 1 int32
  topologyKey! 2 string
  whenUnsatisfiable! 3 string
  labelSelector* 4 meta.v1.LabelSelector
  minDomains* 5 int32
  nodeAffinityPolicy* 6 string
  nodeTaintsPolicy* 7 string
  matchLabelKeys? 8 list string list=atomic

PodSchedulingGate
  name! 1 string

PodSchedulingGroup
  podGroupName* 1 string

NodeSelector atomic
  nodeSelectorTerms! 1 list NodeSelectorTerm list=atomic

NodeAffinity
  requiredDuringSchedulingIgnoredDuringExecution* 1 NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution? 2 list PreferredSchedulingTerm list=atomic

PodAffinity
  requiredDuringSchedulingIgnoredDuringExecution? 1 list PodAffinityTerm list=atomic
  preferredDuringSchedulingIgnoredDuringExecution? 2 list WeightedPodAffinityTerm list=atomic

PodAntiAffinity
  requiredDuringSchedulingIgnoredDuringExecution? 1 list PodAffinityTerm list=atomic
  preferredDuringSchedulingIgnoredDuringExecution? 2 list WeightedPodAffinityTerm list=atomic

NodeSelectorTerm atomic
  matchExpressions? 1 list NodeSelectorRequirement list=atomic
  matchFields? 2 list NodeSelectorRequirement list=atomic

PreferredSchedulingTerm
  weight! 1 int32
  preference! 2 NodeSelectorTerm

PodAffinityTerm
  labelSelector* 1 meta.v1.LabelSelector
  namespaces? 2 list string list=atomic
  topologyKey! 3 string
  namespaceSelector* 4 meta.v1.LabelSelector
  matchLabelKeys? 5 list string list=atomic
  mismatchLabelKeys? 6 list string list=atomic

WeightedPodAffinityTerm
  weight! 1 int32
  podAffinityTerm! 2 PodAffinityTerm

NodeSelectorRequirement
  key! 1 string
  operator! 2 string
  values? 3 list string list=atomic
`;
