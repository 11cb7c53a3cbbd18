/**
 * Files that are written whole or not at all.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

type Chunks = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>;

/**
 * Replaces the file at `path` by `chunks`, atomically and durably: they go to a temporary file in the same
 * folder, which is synced and then renamed. After any failure (a full disk, a chunk that throws) the temporary
 * file is gone and the earlier file is as it was; the error says so and keeps the system's `code`.
 */
export async function writeAtomically(path: string, chunks: Chunks): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      for await (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    const failure = new Error(`cannot write ${path}: ${message}; an earlier file is unchanged`, {
      cause: error,
    });
    throw code === undefined ? failure : Object.assign(failure, { code });
  }
  await syncFolder(folder);
}

/** Removes the temporary files of writers to `path` that were killed. Only for a path with no other writer. */
export async function removeLeftovers(path: string): Promise<void> {
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith('.tmp')) await rm(join(dirname(path), name));
  }
}

/** Makes a rename survive a power cut, where the system lets a folder be synced (Windows does not). */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}
