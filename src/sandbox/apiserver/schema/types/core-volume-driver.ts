// SPDX-License-Identifier: Apache-2.0
// Volumes by the storage that they come from. Syntax: ../parse.ts.

export const CORE_VOLUME_DRIVER_TYPES = `
@core.v1
GCEPersistentDiskVolumeSource
  pdName! 1 string
  fsType? 2 string
  partition? 3 int32
  readOnly? 4 bool

AWSElasticBlockStoreVolumeSource
  volumeID! 1 string
  fsType? 2 string
  partition? 3 int32
  readOnly? 4 bool

GlusterfsPersistentVolumeSource
  endpoints! 1 string
  path! 2 string
  readOnly? 3 bool
  endpointsNamespace* 4 string

NFSVolumeSource
  server! 1 string
  path! 2 string
  readOnly? 3 bool

RBDPersistentVolumeSource
  monitors! 1 list string list=atomic
  image! 2 string
  fsType? 3 string
  pool? 4 string
  user? 5 string
  keyring? 6 string
  secretRef* 7 SecretReference
  readOnly? 8 bool

ISCSIPersistentVolumeSource
  targetPortal! 1 string
  iqn! 2 string
  lun! 3 int32
  iscsiInterface? 4 string
  fsType? 5 string
  readOnly? 6 bool
  portals? 7 list string list=atomic
  chapAuthDiscovery? 8 bool
  chapAuthSession? 11 bool
  secretRef* 10 SecretReference
  initiatorName* 12 string

CinderPersistentVolumeSource
  volumeID! 1 string
  fsType? 2 string
  readOnly? 3 bool
  secretRef* 4 SecretReference

CephFSPersistentVolumeSource
  monitors! 1 list string list=atomic
  path? 2 string
  user? 3 string
  secretFile? 4 string
  secretRef* 5 SecretReference
  readOnly? 6 bool

FCVolumeSource
  targetWWNs? 1 list string list=atomic
  lun* 2 int32
  fsType? 3 string
  readOnly? 4 bool
  wwids? 5 list string list=atomic

FlockerVolumeSource
  datasetName? 1 string
  datasetUUID? 2 string

FlexPersistentVolumeSource
  driver! 1 string
  fsType? 2 string
  secretRef* 3 SecretReference
  readOnly? 4 bool
  options? 5 map string

AzureFilePersistentVolumeSource
  secretName! 1 string
  shareName! 2 string
  readOnly? 3 bool
  secretNamespace~ 4 string

VsphereVirtualDiskVolumeSource
  volumePath! 1 string
  fsType? 2 string
  storagePolicyName? 3 string
  storagePolicyID? 4 string

QuobyteVolumeSource
  registry! 1 string
  volume! 2 string
  readOnly? 3 bool
  user? 4 string
  group? 5 string
  tenant? 6 string

AzureDiskVolumeSource
  diskName! 1 string
  diskURI! 2 string
  cachingMode* 3 string
  fsType* 4 string
  readOnly* 5 bool
  kind*! 6 string

PhotonPersistentDiskVolumeSource
  pdID! 1 string
  fsType?! 2 string

PortworxVolumeSource
  volumeID! 1 string
  fsType?! 2 string
  readOnly? 3 bool

ScaleIOPersistentVolumeSource
  gateway! 1 string
  system! 2 string
  secretRef~! 3 SecretReference
  sslEnabled? 4 bool
  protectionDomain? 5 string
  storagePool? 6 string
  storageMode? 7 string
  volumeName?! 8 string
  fsType? 9 string
  readOnly? 10 bool

StorageOSPersistentVolumeSource
  volumeName?! 1 string
  volumeNamespace? 2 string
  fsType? 3 string
  readOnly? 4 bool
  secretRef* 5 ObjectReference

CSIPersistentVolumeSource
  driver! 1 string
  volumeHandle! 2 string
  readOnly? 3 bool
  fsType? 4 string
  volumeAttributes? 5 map string
  controllerPublishSecretRef* 6 SecretReference
  nodeStageSecretRef* 7 SecretReference
  nodePublishSecretRef* 8 SecretReference
  controllerExpandSecretRef* 9 SecretReference
  nodeExpandSecretRef* 10 SecretReference

GitRepoVolumeSource
  repository! 1 string
  revision? 2 string
  directory? 3 string

ISCSIVolumeSource
  targetPortal! 1 string
  iqn! 2 string
  lun! 3 int32
  iscsiInterface? 4 string
  fsType? 5 string
  readOnly? 6 bool
  portals? 7 list string list=atomic
  chapAuthDiscovery? 8 bool
  chapAuthSession? 11 bool
  secretRef* 10 LocalObjectReference
  initiatorName* 12 string

GlusterfsVolumeSource
  endpoints! 1 string
  path! 2 string
  readOnly? 3 bool

RBDVolumeSource
  monitors! 1 list string list=atomic
  image! 2 string
  fsType? 3 string
  pool? 4 string
  user? 5 string
  keyring? 6 string
  secretRef* 7 LocalObjectReference
  readOnly? 8 bool

FlexVolumeSource
  driver! 1 string
  fsType? 2 string
  secretRef* 3 LocalObjectReference
  readOnly? 4 bool
  options? 5 map string

CinderVolumeSource
  volumeID! 1 string
  fsType? 2 string
  readOnly? 3 bool
  secretRef* 4 LocalObjectReference

CephFSVolumeSource
  monitors! 1 list string list=atomic
  path? 2 string
  user? 3 string
  secretFile? 4 string
  secretRef* 5 LocalObjectReference
  readOnly? 6 bool

AzureFileVolumeSource
  secretName! 1 string
  shareName! 2 string
  readOnly? 3 bool

ScaleIOVolumeSource
  gateway! 1 string
  system! 2 string
  secretRef~! 3 LocalObjectReference
  sslEnabled? 4 bool
  protectionDomain? 5 string
  storagePool? 6 string
  storageMode? 7 string
  volumeName?! 8 string
  fsType? 9 string
  readOnly? 10 bool

StorageOSVolumeSource
  volumeName?! 1 string
  volumeNamespace? 2 string
  fsType? 3 string
  readOnly? 4 bool
  secretRef* 5 LocalObjectReference

CSIVolumeSource
  driver! 1 string
  readOnly* 2 bool
  fsType* 3 string
  volumeAttributes? 4 map string
  nodePublishSecretRef* 5 LocalObjectReference
`;
