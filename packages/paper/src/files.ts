import { randomUUID } from 'node:crypto';
import { lstat, mkdir, open, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
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
    else await replace(target, content);
  } catch (error) {
    throw fileError(`cannot write '${path}'`, error);
  }
}

async function replace(target: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  // Beside its target: a rename is atomic within one file system only.
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(target));
}

/** The rename itself must survive a power cut too. Windows cannot open a folder and needs no such call. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
