// SPDX-License-Identifier: Apache-2.0
// The mesh's own settings: ConfigMap istio in the root namespace.
import { isDeepStrictEqual } from 'node:util';
import type { Diagnostic } from '../api/diagnostics.ts';
import { refOf } from '../api/kind.ts';
import { DEFAULT_MESH_CONFIG, decodeMeshConfig, type MeshConfig } from '../api/mesh-config.ts';
import { decodeMeshNetworks } from '../api/mesh-networks.ts';
import { diagnose, type Locate } from '../api/report.ts';
import type { KubeObject } from '../kube/types.ts';
import type { NetworkState } from './network-state.ts';
import type { MeshSettings } from './snapshot.ts';

/** What happened to an object. `locate` gives the line of a field, where text is known. */
export type ObjectEvent =
  | { kind: 'upsert'; cluster: string; object: KubeObject; locate?: Locate | undefined }
  | { kind: 'delete'; cluster: string; object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> };

export class MeshConfigState {
  readonly #options: MeshSettings & { readonly configCluster: string };
  /** Which is told of `meshNetworks`. */
  readonly #networks: NetworkState;
  #mesh: MeshConfig = DEFAULT_MESH_CONFIG;
  #diagnostics: readonly Diagnostic[] = [];
  #locate: Locate | undefined;

  constructor(options: MeshSettings & { readonly configCluster: string }, networks: NetworkState) {
    this.#options = options;
    this.#networks = networks;
  }

  get mesh(): MeshConfig {
    return this.#mesh;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  get locate(): Locate | undefined {
    return this.#locate;
  }

  /** Any other ConfigMap is passed over. */
  take(event: ObjectEvent): void {
    const { name, namespace } = event.object.metadata;
    if (event.cluster !== this.#options.configCluster) return;
    if (name !== 'istio' || namespace !== this.#options.rootNamespace) return;
    if (event.kind === 'delete') {
      this.#mesh = DEFAULT_MESH_CONFIG;
      this.#diagnostics = [];
      const { apiVersion, kind, metadata } = event.object;
      this.#networks.setNetworks(decodeMeshNetworks({ apiVersion, kind, metadata }));
      return;
    }
    const source = { cluster: event.cluster, locate: event.locate };
    this.#locate = event.locate;
    const { value, diagnostics } = decodeMeshConfig(event.object, source);
    this.#diagnostics = [...diagnostics, ...this.#contradictions(value, event)];
    // What cannot be used leaves the settings before it in force.
    if (value !== undefined && !isDeepStrictEqual(value, this.#mesh)) this.#mesh = value;
    this.#networks.setNetworks(decodeMeshNetworks(event.object, source));
  }

  /** What the control plane was started with is not changed by a ConfigMap. */
  #contradictions(mesh: MeshConfig | undefined, event: Extract<ObjectEvent, { kind: 'upsert' }>): Diagnostic[] {
    return (['trustDomain', 'rootNamespace'] as const).flatMap((name) => {
      const [asked, real] = [mesh?.[name], this.#options[name]];
      if (asked === undefined || asked === real) return [];
      const ref = refOf(event.object, event.cluster);
      const message = `the control plane was started with ${name} ${real}, and keeps it`;
      const cure = 'install the mesh with this value, or remove it here';
      return [diagnose(ref, 'ISM0005', `data.mesh.${name}`, message, cure, { locate: event.locate })];
    });
  }
}
