// SPDX-License-Identifier: Apache-2.0
// Volumes of pods and persistent volumes. Syntax: ../parse.ts.

export const CORE_VOLUME_TYPES = `
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

LocalObjectReference atomic
  name? 1 string

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

Volume
  name! 1 string
  ... 2 VolumeSource

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

HostPathVolumeSource
  path! 1 string
  type* 2 string

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

LocalVolumeSource
  path! 1 string
  fsType* 2 string

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

VolumeSource
  hostPath* 1 HostPathVolumeSource
  emptyDir* 2 EmptyDirVolumeSource
  gcePersistentDisk* 3 GCEPersistentDiskVolumeSource
  awsElasticBlockStore* 4 AWSElasticBlockStoreVolumeSource
  gitRepo* 5 GitRepoVolumeSource
  secret* 6 SecretVolumeSource
  nfs* 7 NFSVolumeSource
  iscsi* 8 ISCSIVolumeSource
  glusterfs* 9 GlusterfsVolumeSource
  persistentVolumeClaim* 10 PersistentVolumeClaimVolumeSource
  rbd* 11 RBDVolumeSource
  flexVolume* 12 FlexVolumeSource
  cinder* 13 CinderVolumeSource
  cephfs* 14 CephFSVolumeSource
  flocker* 15 FlockerVolumeSource
  downwardAPI* 16 DownwardAPIVolumeSource
  fc* 17 FCVolumeSource
  azureFile* 18 AzureFileVolumeSource
  configMap* 19 ConfigMapVolumeSource
  vsphereVolume* 20 VsphereVirtualDiskVolumeSource
  quobyte* 21 QuobyteVolumeSource
  azureDisk* 22 AzureDiskVolumeSource
  photonPersistentDisk* 23 PhotonPersistentDiskVolumeSource
  projected* 26 ProjectedVolumeSource
  portworxVolume* 24 PortworxVolumeSource
  scaleIO* 25 ScaleIOVolumeSource
  storageos* 27 StorageOSVolumeSource
  csi* 28 CSIVolumeSource
  ephemeral* 29 EphemeralVolumeSource
  image* 30 ImageVolumeSource

SecretReference atomic
  name? 1 string
  namespace? 2 string

EmptyDirVolumeSource
  medium? 1 string
  sizeLimit* 2 quantity
  mode* 3 int32

GitRepoVolumeSource
  repository! 1 string
  revision? 2 string
  directory? 3 string

SecretVolumeSource
  secretName? 1 string
  items? 2 list KeyToPath list=atomic
  defaultMode* 3 int32
  optional* 4 bool
  defaultUser* 5 int64

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

PersistentVolumeClaimVolumeSource
  claimName! 1 string
  readOnly? 2 bool

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

DownwardAPIVolumeSource
  items? 1 list DownwardAPIVolumeFile list=atomic
  defaultMode* 2 int32
  defaultUser* 3 int64

AzureFileVolumeSource
  secretName! 1 string
  shareName! 2 string
  readOnly? 3 bool

ConfigMapVolumeSource
  ... 1 LocalObjectReference
  items? 2 list KeyToPath list=atomic
  defaultMode* 3 int32
  optional* 4 bool
  defaultUser* 5 int64

ProjectedVolumeSource
  sources 1 list VolumeProjection list=atomic
  defaultMode* 2 int32
  defaultUser* 3 int64

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

EphemeralVolumeSource
  volumeClaimTemplate*! 1 PersistentVolumeClaimTemplate

ImageVolumeSource
  reference? 1 string
  pullPolicy? 2 string

KeyToPath
  key! 1 string
  path! 2 string
  mode* 3 int32
  user* 4 int64

DownwardAPIVolumeFile
  path! 1 string
  fieldRef* 2 ObjectFieldSelector
  resourceFieldRef* 3 ResourceFieldSelector
  mode* 4 int32
  user* 5 int64

VolumeProjection
  secret* 1 SecretProjection
  downwardAPI* 2 DownwardAPIProjection
  configMap* 3 ConfigMapProjection
  serviceAccountToken* 4 ServiceAccountTokenProjection
  clusterTrustBundle* 5 ClusterTrustBundleProjection
  podCertificate* 6 PodCertificateProjection

PersistentVolumeClaimTemplate
  metadata? 1 meta.v1.ObjectMeta
  spec! 2 PersistentVolumeClaimSpec

ObjectFieldSelector atomic
  apiVersion? 1 string
  fieldPath! 2 string

ResourceFieldSelector atomic
  containerName? 1 string
  resource! 2 string
  divisor 3 quantity

SecretProjection
  ... 1 LocalObjectReference
  items? 2 list KeyToPath list=atomic
  optional* 4 bool

DownwardAPIProjection
  items? 1 list DownwardAPIVolumeFile list=atomic

ConfigMapProjection
  ... 1 LocalObjectReference
  items? 2 list KeyToPath list=atomic
  optional* 4 bool

ServiceAccountTokenProjection
  audience? 1 string
  expirationSeconds* 2 int64
  path! 3 string
  user* 4 int64

ClusterTrustBundleProjection
  name* 1 string
  signerName* 2 string
  labelSelector* 3 meta.v1.LabelSelector
  optional* 5 bool
  path! 4 string
  user* 6 int64

PodCertificateProjection
  signerName?! 1 string
  keyType?! 2 string
  maxExpirationSeconds* 3 int32
  credentialBundlePath? 4 string
  keyPath? 5 string
  certificateChainPath? 6 string
  userAnnotations?! 7 map string
  user* 8 int64
`;
