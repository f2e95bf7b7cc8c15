// SPDX-License-Identifier: Apache-2.0
// Volumes of pods that need no storage driver, and their projections. Syntax: ../parse.ts.

export const CORE_VOLUME_TYPES = `
@core.v1
LocalObjectReference atomic
  name? 1 string

Volume
  name! 1 string
  ... 2 VolumeSource

HostPathVolumeSource
  path! 1 string
  type* 2 string

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

SecretVolumeSource
  secretName? 1 string
  items? 2 list KeyToPath list=atomic
  defaultMode* 3 int32
  optional* 4 bool
  defaultUser* 5 int64

DownwardAPIVolumeSource
  items? 1 list DownwardAPIVolumeFile list=atomic
  defaultMode* 2 int32
  defaultUser* 3 int64

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
