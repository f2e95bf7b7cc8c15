// SPDX-License-Identifier: Apache-2.0
// Persistent volumes and the claims to them. Syntax: ../parse.ts.

export const CORE_CLAIM_TYPES = `
@core.v1
PersistentVolumeClaim
  metadata 1 meta.v1.ObjectMeta
  spec 2 PersistentVolumeClaimSpec
  status 3 PersistentVolumeClaimStatus

PersistentVolume
  metadata 1 meta.v1.ObjectMeta
  spec 2 PersistentVolumeSpec
  status 3 PersistentVolumeStatus

PersistentVolumeClaimSpec
  accessModes? 1 list string list=atomic
  selector* 4 meta.v1.LabelSelector
  resources 2 VolumeResourceRequirements
  volumeName? 3 string
  storageClassName* 5 string
  volumeMode* 6 string
  dataSource* 7 TypedLocalObjectReference
  dataSourceRef* 8 TypedObjectReference
  volumeAttributesClassName* 9 string

PersistentVolumeClaimStatus
  phase? 1 string
  accessModes? 2 list string list=atomic
  capacity? 3 map quantity
  conditions? 4 list PersistentVolumeClaimCondition patch=merge:type list=map:type
  allocatedResources? 5 map quantity
  allocatedResourceStatuses? 7 map string map=granular
  currentVolumeAttributesClassName* 8 string
  modifyVolumeStatus* 9 ModifyVolumeStatus
  healthStatus* 10 VolumeHealthStatus

PersistentVolumeSpec
  capacity? 1 map quantity
  ... 2 PersistentVolumeSource
  accessModes? 3 list string list=atomic
  claimRef* 4 ObjectReference struct=granular
  persistentVolumeReclaimPolicy? 5 string
  storageClassName? 6 string
  mountOptions? 7 list string list=atomic
  volumeMode* 8 string
  nodeAffinity* 9 VolumeNodeAffinity
  volumeAttributesClassName* 10 string

PersistentVolumeStatus
  phase? 1 string
  message? 2 string
  reason? 3 string
  lastPhaseTransitionTime* 4 time

VolumeResourceRequirements
  limits? 1 map quantity
  requests? 2 map quantity

TypedLocalObjectReference atomic
  apiGroup* 1 string
  kind! 2 string
  name! 3 string

TypedObjectReference
  apiGroup* 1 string
  kind! 2 string
  name! 3 string
  namespace* 4 string

PersistentVolumeClaimCondition
  type! 1 string
  status! 2 string
  lastProbeTime 3 time
  lastTransitionTime 4 time
  reason? 5 string
  message? 6 string

ModifyVolumeStatus
  targetVolumeAttributesClassName?! 1 string
  status! 2 string

VolumeHealthStatus
  healthConditions? 1 list VolumeHealthCondition patch=merge:status list=map:status,reason
  lastTransitionTime 2 time

PersistentVolumeSource
  gcePersistentDisk* 1 GCEPersistentDiskVolumeSource
  awsElasticBlockStore* 2 AWSElasticBlockStoreVolumeSource
  hostPath* 3 HostPathVolumeSource
  glusterfs* 4 GlusterfsPersistentVolumeSource
  nfs* 5 NFSVolumeSource
  rbd* 6 RBDPersistentVolumeSource
  iscsi* 7 ISCSIPersistentVolumeSource
  cinder* 8 CinderPersistentVolumeSource
  cephfs* 9 CephFSPersistentVolumeSource
  fc* 10 FCVolumeSource
  flocker* 11 FlockerVolumeSource
  flexVolume* 12 FlexPersistentVolumeSource
  azureFile* 13 AzureFilePersistentVolumeSource
  vsphereVolume* 14 VsphereVirtualDiskVolumeSource
  quobyte* 15 QuobyteVolumeSource
  azureDisk* 16 AzureDiskVolumeSource
  photonPersistentDisk* 17 PhotonPersistentDiskVolumeSource
  portworxVolume* 18 PortworxVolumeSource
  scaleIO* 19 ScaleIOPersistentVolumeSource
  local* 20 LocalVolumeSource
  storageos* 21 StorageOSPersistentVolumeSource
  csi* 22 CSIPersistentVolumeSource

VolumeNodeAffinity
  required*! 1 NodeSelector

LocalVolumeSource
  path! 1 string
  fsType* 2 string

PersistentVolumeClaimVolumeSource
  claimName! 1 string
  readOnly? 2 bool

EphemeralVolumeSource
  volumeClaimTemplate*! 1 PersistentVolumeClaimTemplate

PersistentVolumeClaimTemplate
  metadata? 1 meta.v1.ObjectMeta
  spec! 2 PersistentVolumeClaimSpec
`;
