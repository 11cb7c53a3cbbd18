/**
 * The record of a run: one JSON object a line, on disk as soon as it is written.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { writeAtomically } from './atomic.ts';

/** One line of a log; must survive JSON. */
export type LogRecord = Readonly<Record<string, unknown>>;

/** A file of JSON lines that grows. */
export interface Log {
  /**
   * Appends a line; a process that is killed afterwards has written it. NaN and infinities become strings.
   * Throws an Error that names the file and keeps the system's `code`.
   */
  write(record: LogRecord): void;
  /** Makes the lines so far survive a power cut. */
  flush(): void;
  close(): void;
}

/**
 * Opens a log for appending. Of an earlier run's records those stay that `keep` accepts, all by default: a run
 * that resumes from step 500 drops the records of later steps, since it will write them again.
 */
export async function openLog(path: string, keep?: (record: LogRecord) => boolean): Promise<Log> {
  const kept = (await readLog(path)).filter((record) => keep?.(record) ?? true);
  await writeAtomically(path, kept.map(toLine));
  const file = openSync(path, 'a');
  return {
    write: (record) => {
      const line = Buffer.from(toLine(record));
      try {
        for (let done = 0; done < line.length; ) done += writeSync(file, line, done);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        throw Object.assign(new Error(`cannot write ${path}: ${message}`, { cause: error }), { code });
      }
    },
    flush: () => fsyncSync(file),
    close: () => closeSync(file),
  };
}

/**
 * The records of a log; none when there is no file. A last line that a killed process left unfinished is left out.
 * Throws an Error with file and line number for any other line that is not a JSON object.
 */
export async function readLog(path: string): Promise<LogRecord[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n');
  lines.pop(); // empty, or unfinished
  return lines.map((line, i) => {
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record === 'object' && record !== null && !Array.isArray(record)) return record as LogRecord;
    } catch {
      // reported below
    }
    throw new Error(`${path}:${i + 1}: found ${JSON.stringify(line.slice(0, 40))}, expected a JSON object`);
  });
}

function toLine(record: LogRecord): string {
  const exact = (_: string, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
  return `${JSON.stringify(record, exact)}\n`;
}
