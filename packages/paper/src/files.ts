import { lstat, mkdir, realpath, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeAtomically } from '@working-papers/nn/atomic';
import { fileError } from './user-error.ts';

/**
 * Writes a file whole or not at all: a reader, a crash or a full disk sees the old content or the new, never a
 * part. Missing folders are made. A link is followed; a device or pipe (`/dev/stdout`) is simply written to.
 */
export async function writeFileWhole(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const target = await realpath(path).catch(() => path);
    const existing = await lstat(target).catch(() => undefined);
    if (existing && !existing.isFile()) await writeFile(target, content);
    else {
      await mkdir(dirname(target), { recursive: true });
      await writeAtomically(target, [content]);
    }
  } catch (error) {
    throw fileError(`cannot write '${path}'`, error);
  }
}
