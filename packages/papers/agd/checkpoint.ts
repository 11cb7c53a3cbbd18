/**
 * Adapters as files. Ours are safetensors that say what they hold (`adapterKind`); the authors' release has pickles of
 * `torch.save`, `{model: {'blocks.0.attn': {name: tensor}, ...}}`, beside a `config.yaml`. Runs in Node and browsers.
 */

import type { ModelKind } from '@working-papers/models/model-file';
import { loadStateDict, type Weights } from '@working-papers/nn/module';
import { decodeTorch, encodeTorch, type TorchValue } from '@working-papers/nn/torch-file';
import type { NdArray } from '@working-papers/tensor';
import { parse } from 'yaml';
import { AdapterError, type AdapterSetOptions, GuidanceAdapters, type NetworkSize } from './model.ts';

/** What a file of adapters says of itself. */
export interface AdapterFileOptions {
  readonly adapters: AdapterSetOptions;
  readonly network: NetworkSize;
}

/** For `packModel` and `unpackModel`. */
export const adapterKind: ModelKind<AdapterFileOptions, GuidanceAdapters> = {
  kind: 'agd-adapters',
  create: ({ adapters, network }) => new GuidanceAdapters(adapters, network),
};

export interface ReleaseOptions {
  /** Names the file in errors. */
  readonly file?: string;
  /** The text of `config.yaml`, which has m as `cfg_mult`. */
  readonly config?: string;
  /** m, where there is no `config.yaml`. Default 1; the release trains DiT with 1000. */
  readonly scaleFactor?: number;
  /** Tokens of the network, which the tensors do not tell; default 256, those of DiT-XL/2 at 256 pixels. */
  readonly tokens?: number;
}

/**
 * Adapters of the release's checkpoint, for a DiT. What kind they are and how large is read off the tensors. Throws a
 * TorchFileError for a file that is none, an AdapterError for one without adapters, and a NameMismatchError that lists
 * missing, unknown and mis-shaped tensors.
 */
export function readRelease(
  bytes: Uint8Array,
  options: ReleaseOptions = {},
): { adapters: GuidanceAdapters; weights: Weights } {
  const { file = 'checkpoint', tokens = 256, config } = options;
  const root = decodeTorch(bytes, file);
  const model = isDict(root) ? root.get('model') : undefined;
  if (!isDict(model)) throw new AdapterError(`${file} has no 'model' in it: not a checkpoint of AGD`);
  const tensors = new Map<string, NdArray>();
  for (const [adapter, own] of model) {
    if (!isDict(own)) throw new AdapterError(`${file}: 'model' has no tensors under '${adapter}'`);
    for (const [name, tensor] of own) {
      if (!isArray(tensor)) throw new AdapterError(`${file}: '${adapter}.${name}' is not a tensor`);
      tensors.set(`${adapter}.${name}`, tensor);
    }
  }
  const settings = config === undefined ? {} : settingsOf(config, file);
  const scaleFactor = settings.cfg_mult ?? options.scaleFactor ?? 1;
  const depth = depthOf(model, file);
  const adapters = new GuidanceAdapters(
    { ...kindOf(tensors, file), scaleFactor },
    { depth, width: widthOf(tensors, file), tokens },
  );
  return { adapters, weights: loadStateDict(adapters, tensors, { file }) };
}

/** The bytes of a checkpoint that the release loads. Throws an AdapterError for adapters that it has not. */
export function writeRelease(adapters: GuidanceAdapters, weights: Weights): Uint8Array {
  if (adapters.options.linear)
    throw new AdapterError('adapters that grow with ω − 1 are ours: the release would not multiply them');
  const model = new Map<string, Map<string, NdArray>>();
  for (const [name, weight] of adapters.namedWeights()) {
    const [, adapter, own] = /^(blocks\.\d+\.attn)\.(.+)$/.exec(name)!;
    const tensors = model.get(adapter!) ?? new Map<string, NdArray>();
    model.set(adapter!, tensors.set(own!, weights.get(weight)!));
  }
  return encodeTorch(new Map([['model', model]]));
}

type Dict = ReadonlyMap<string, TorchValue>;
const isDict = (value: TorchValue | undefined): value is Dict => value instanceof Map;
const isArray = (value: TorchValue): value is NdArray =>
  typeof value === 'object' && value !== null && 'shape' in value;

function settingsOf(config: string, file: string): { readonly cfg_mult?: number } {
  const settings: unknown = parse(config);
  if (typeof settings !== 'object' || settings === null)
    throw new AdapterError(`${file}: config.yaml is no mapping`);
  const { cfg_mult: factor } = settings as { cfg_mult?: unknown };
  if (factor === undefined || factor === null) return {};
  if (!Number.isFinite(factor))
    throw new AdapterError(`${file}: cfg_mult in config.yaml is ${String(factor)}`);
  return { cfg_mult: factor as number };
}

function depthOf(model: Dict, file: string): number {
  const names = [...model.keys()];
  const strange = names.find((name) => !/^blocks\.\d+\.attn$/.test(name));
  if (strange !== undefined || names.length === 0)
    throw new AdapterError(
      `${file}: ${strange === undefined ? 'no adapters' : `'${strange}' is no adapter of a DiT`}`,
    );
  return 1 + Math.max(...names.map((name) => Number(name.split('.')[1])));
}

/** The first adapter's tensor by its own name. */
function own(tensors: ReadonlyMap<string, NdArray>, name: string): NdArray | undefined {
  return [...tensors].find(([full]) => full.endsWith(`.attn.${name}`))?.[1];
}

function kindOf(tensors: ReadonlyMap<string, NdArray>, file: string): AdapterSetOptions {
  const kind = own(tensors, 'q_proj.weight') ? 'attention' : 'offset';
  const hiddenSize = own(tensors, 'guidance_scale_embedder.net.0.frequencies')?.shape[0];
  if (hiddenSize === undefined)
    throw new AdapterError(
      `${file}: 'guidance_scale_embedder.net.0.frequencies' is missing: without these buffers the codes of ω are others`,
    );
  return {
    kind,
    hiddenSize,
    useTimestep: own(tensors, 'timestep_proj.weight') !== undefined,
    useClass: own(tensors, 'class_proj.weight') !== undefined,
  };
}

function widthOf(tensors: ReadonlyMap<string, NdArray>, file: string): number {
  const last = own(tensors, 'out_proj.net.4.weight') ?? own(tensors, 'out_proj.weight');
  if (!last) throw new AdapterError(`${file}: the adapters' last layer is missing`);
  return last.shape[0]!;
}
