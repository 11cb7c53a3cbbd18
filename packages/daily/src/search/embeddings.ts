import { sql } from 'kysely';
import type { Database } from '../database/connect.ts';
import type { Embedder } from './embedder.ts';

const batchSize = 32;

/** As pgvector writes a vector. */
export const vectorText = (vector: Float32Array) => `[${vector.join(',')}]`;

const textOf = sql<string>`(papers.title || E'\n' || coalesce(papers.abstract, papers.summary, ''))`;

export interface EmbedOptions {
  /** Papers at most, in one go. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

/**
 * Embeds papers that have no vector of this model or whose text has changed, newest first. Any number of processes may
 * do it at once: the worst is a vector made twice. Resolves to how many were made.
 */
export async function embedPapers(
  { db, hasVectors }: Database,
  embedder: Embedder,
  { limit = Number.POSITIVE_INFINITY, signal, onProgress }: EmbedOptions = {},
): Promise<number> {
  if (!hasVectors) return 0;
  let done = 0;
  while (done < limit && !signal?.aborted) {
    const { rows } = await sql<{ id: string; text: string; textHash: string }>`
      select papers.id, ${textOf} as text, md5(${textOf}) as text_hash
        from papers left join paper_embeddings made on made.paper_id = papers.id
       where made.paper_id is null or made.model <> ${embedder.model} or made.text_hash <> md5(${textOf})
       order by published_at desc, id desc
       limit ${Math.min(batchSize, limit - done)}`.execute(db);
    if (rows.length === 0) break;
    const vectors = await embedder.embed(rows.map(({ text }) => text));
    await db
      .insertInto('paperEmbeddings')
      .values(
        rows.map(({ id, textHash }, index) => ({
          paperId: id,
          model: embedder.model,
          textHash,
          embedding: vectorText(vectors[index]!),
        })),
      )
      .onConflict((conflict) =>
        conflict.column('paperId').doUpdateSet((eb) => ({
          model: eb.ref('excluded.model'),
          textHash: eb.ref('excluded.textHash'),
          embedding: eb.ref('excluded.embedding'),
        })),
      )
      .execute();
    done += rows.length;
    onProgress?.(done);
  }
  return done;
}
