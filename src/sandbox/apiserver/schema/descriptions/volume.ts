// SPDX-License-Identifier: Apache-2.0
// What `kubectl explain` says of volumes, claims and storage classes. Syntax: ../describe.ts.

export const VOLUME_DESCRIPTIONS = `
@core.v1
Volume = Something that containers can mount, from exactly one source.
  name: Its name in the pod, for volumeMounts.
VolumeSource = Where a volume's content comes from.
  emptyDir: An empty folder that lives as long as the pod.
  hostPath: A file or folder of the node.
  secret: The keys of a Secret as files.
  configMap: The keys of a ConfigMap as files.
  downwardAPI: Fields of the pod as files.
  projected: Several of these in one folder.
  persistentVolumeClaim: The volume that a claim is bound to.
  nfs: A folder of an NFS server.
  csi: A volume of a CSI driver, made for this pod.
  ephemeral: A claim that is made for this pod and goes with it.
  image: The content of a container image.
  iscsi: An iSCSI disk.
  fc: A Fibre Channel disk.
  gitRepo: A git repository. No longer supported; use an init container.
PersistentVolumeSource = Where a volume's content lies.
  hostPath: A folder of the node, for single-node clusters.
  local: A disk or folder of one node.
  nfs: A folder of an NFS server.
  csi: A volume of a CSI driver.
  iscsi: An iSCSI disk.
  fc: A Fibre Channel disk.
EmptyDirVolumeSource = An empty folder that lives as long as the pod.
  medium: Memory for a RAM disk; empty for the node's disk.
  sizeLimit: The most it may hold.
HostPathVolumeSource = A file or folder of the node.
  path: Its path on the node.
  type: What must be there: DirectoryOrCreate, Directory, FileOrCreate, File, Socket; empty for no check.
SecretVolumeSource = The keys of a Secret as files.
  secretName: The Secret, of the same namespace.
ConfigMapVolumeSource = The keys of a ConfigMap as files.
ProjectedVolumeSource = Several sources in one folder.
  sources: The sources.
VolumeProjection = One of the sources of a projected volume.
  secret: The keys of a Secret as files.
  configMap: The keys of a ConfigMap as files.
  downwardAPI: Fields of the pod as files.
  serviceAccountToken: A token of the pod's service account, renewed in time.
  clusterTrustBundle: Certificates of a ClusterTrustBundle.
ServiceAccountTokenProjection = A token of the pod's service account as a file.
  audience: Who shall accept it; the API server when nothing is said.
  expirationSeconds: How long it is valid; renewed before it expires. 3600 when nothing is said.
  path: The file's path in the volume.
DownwardAPIVolumeSource = Fields of the pod as files.
DownwardAPIVolumeFile = A field of the pod as a file.
  path: The file's path in the volume.
  fieldRef: The field.
  resourceFieldRef: A limit or request of a container.
  mode: Permission bits of this file.
KeyToPath = A key as a file.
  path: The file's path in the volume.
  mode: Permission bits of this file.
PersistentVolumeClaimVolumeSource = The volume that a claim is bound to.
  claimName: The claim, of the same namespace.
NFSVolumeSource = A folder of an NFS server.
  server: The server.
  path: The folder that it exports.
PersistentVolumeClaim = A wish for storage, and the volume that it was given.
PersistentVolumeClaimSpec = What storage is wanted.
  accessModes: ReadWriteOnce (one node), ReadOnlyMany, ReadWriteMany, ReadWriteOncePod (one pod).
  selector: Only volumes with these labels.
  resources: How much: requests.storage.
  volumeName: The volume it is bound to.
  storageClassName: The class of storage; the cluster's default when nothing is said, none when empty.
  volumeMode: Filesystem (default) or Block.
  dataSource: What the volume is filled from: a snapshot or another claim.
  dataSourceRef: As dataSource, for any kind that somebody can fill volumes from.
PersistentVolumeClaimStatus = What became of the wish.
  phase: Pending, Bound or Lost.
  accessModes: How the volume can be accessed.
  capacity: How much it really has.
VolumeResourceRequirements = How much storage.
PersistentVolume = A piece of storage, for the claim that it is bound to.
PersistentVolumeSpec = Where it lies, and what it can do.
  capacity: How much it holds: storage.
  accessModes: ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod.
  claimRef: The claim it is bound to.
  persistentVolumeReclaimPolicy: What becomes of it after its claim: Retain (default), Delete or Recycle.
  storageClassName: The class it belongs to.
  mountOptions: Options for mounting it.
  volumeMode: Filesystem (default) or Block.
  nodeAffinity: Nodes that can reach it.
PersistentVolumeStatus = Where in its life it is.
  phase: Available, Bound, Released or Failed.
LocalVolumeSource = A disk or folder of one node.
  path: Its path on the node.

@storage.v1
StorageClass = A way to make volumes for claims.
  provisioner: Who makes them.
  parameters: What it is told.
  reclaimPolicy: What becomes of a volume after its claim: Delete (default) or Retain.
  mountOptions: Options for mounting the volumes.
  allowVolumeExpansion: Whether claims may grow.
  volumeBindingMode: Immediate (default), or WaitForFirstConsumer to know the node first.
  allowedTopologies: Only for nodes of these places.
`;
