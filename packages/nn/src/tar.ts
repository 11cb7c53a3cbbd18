/**
 * Archives, read as a stream.
 */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

/** A file of an archive. */
export interface TarEntry {
  /** The path within the archive. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The files of a `.tar.gz`, in its order, one in memory at a time. An error names the archive. */
export async function* readTarGz(path: string): AsyncGenerator<TarEntry, void, undefined> {
  const archive = extract();
  pipeline(createReadStream(path), createGunzip(), archive, () => {}); // the archive's iterator gets its errors
  try {
    for await (const entry of archive) {
      if (entry.header.type === 'file') {
        const chunks: Uint8Array[] = [];
        for await (const chunk of entry) chunks.push(chunk as Uint8Array);
        yield { name: entry.header.name, bytes: Buffer.concat(chunks) };
      } else entry.resume();
    }
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  } finally {
    archive.destroy();
  }
}
