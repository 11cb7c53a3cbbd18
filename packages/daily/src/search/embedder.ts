import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { embeddingSize } from '../database/migrations.ts';
import type { Settings } from '../settings.ts';

/** Makes vectors of texts: near in meaning, near in angle. */
export interface Embedder {
  /** By which stored vectors are known: those of another model are made anew. */
  readonly model: string;
  /** One unit vector of `embeddingSize` numbers for each text. */
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>;
}

/** An embedder, or why search is by words alone: one sentence for the page and for `wp doctor`. */
export type EmbedderState =
  | { readonly embedder: Embedder }
  | { readonly embedder?: never; readonly why: string };

/** The part of transformers.js that is used: the package is not among our dependencies, because it is large. */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string; cacheDir: string };
  pipeline(task: 'feature-extraction', model: string, options: { dtype: string }): Promise<Extractor>;
}

type Extractor = (
  texts: readonly string[],
  options: { pooling: 'mean'; normalize: true },
) => Promise<{ readonly data: Float32Array; readonly dims: readonly number[] }>;

type LoadOptions = Pick<Settings, 'embeddings' | 'embeddingModel' | 'modelFolder'>;

const packageName = '@huggingface/transformers';

/**
 * Loads the model once, where it is wanted and there. `importPackage` is for tests.
 * Never rejects: a page without search by meaning is a page.
 */
export async function loadEmbedder(
  { embeddings, embeddingModel: model, modelFolder }: LoadOptions,
  importPackage: () => Promise<unknown> = () => import(packageName),
): Promise<EmbedderState> {
  if (embeddings === 'off') return { why: 'search by meaning is switched off (WP_EMBEDDINGS)' };
  if (embeddings === 'local' && !existsSync(join(modelFolder, model))) {
    return {
      why: `search by meaning needs the files of ${model} in ${modelFolder}, or WP_EMBEDDINGS=download`,
    };
  }
  let transformers: Transformers;
  try {
    transformers = (await importPackage()) as Transformers;
  } catch {
    return { why: `search by meaning needs the package ${packageName}: npm install ${packageName}` };
  }
  try {
    transformers.env.allowRemoteModels = embeddings === 'download';
    transformers.env.localModelPath = modelFolder;
    transformers.env.cacheDir = modelFolder;
    const extract = await transformers.pipeline('feature-extraction', model, { dtype: 'q8' });
    const embedder = fromExtractor(model, extract);
    await embedder.embed(['one text, to see what comes out']);
    return { embedder };
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { why: `search by meaning is off: ${model} cannot be loaded: ${reason}` };
  }
}

function fromExtractor(model: string, extract: Extractor): Embedder {
  return {
    model,
    async embed(texts) {
      const { data, dims } = await extract(texts, { pooling: 'mean', normalize: true });
      const size = dims.at(-1);
      if (size !== embeddingSize) {
        throw new Error(`WP_EMBEDDING_MODEL: expected vectors of ${embeddingSize} numbers, found ${size}`);
      }
      return texts.map((_, index) => data.slice(index * size, (index + 1) * size));
    },
  };
}
