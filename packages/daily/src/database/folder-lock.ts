import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { UserError } from '@working-papers/paper';

/** Locks of this process: after a restart of a container the process number is often the same again. */
const own = new Set<string>();

/**
 * Keeps a second process out of an embedded database, which it would destroy: PGlite itself lets everyone in.
 * Returns what releases the lock. Throws a `UserError` that names the process that holds it.
 */
export function lockFolder(folder: string): () => void {
  const path = `${folder}.lock`;
  mkdirSync(dirname(path), { recursive: true });
  if (!take(path)) {
    const found = readOrNothing(path);
    const holder = holderOf(path, found);
    if (holder !== undefined) throw inUse(folder, holder);
    // Moved away rather than removed: of two processes that find a dead one's lock, only one can move it.
    const dead = `${path}.${process.pid}`;
    try {
      renameSync(path, dead);
    } catch {
      throw inUse(folder, 'another one that starts');
    }
    const moved = readOrNothing(dead);
    if (moved !== found) renameSync(dead, path);
    else rmSync(dead, { force: true });
    if (!take(path)) throw inUse(folder, holderOf(path, readOrNothing(path)) ?? 'another one that starts');
  }
  own.add(path);
  const release = () => {
    process.off('exit', release);
    if (own.delete(path)) rmSync(path, { force: true });
  };
  process.on('exit', release);
  return release;
}

function take(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${hostname()}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function inUse(folder: string, holder: string): UserError {
  return new UserError(
    `the database in '${folder}' is in use by process ${holder}: an embedded database serves one process; DATABASE_URL names a server for several`,
  );
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The process that holds the lock, unless it has died without a word. */
function holderOf(path: string, content: string): string | undefined {
  const [pid = '', host = ''] = content.trim().split(' ');
  if (host !== hostname()) return host === '' ? undefined : `${pid} on ${host}`;
  if (Number(pid) === process.pid) return own.has(path) ? pid : undefined;
  try {
    process.kill(Number(pid), 0);
    return pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : undefined;
  }
}
