import { fileError } from '@working-papers/paper';

/** Ctrl-C or a polite request to end: why a command's signal was aborted. */
export class Interruption extends Error {
  override readonly name = 'AbortError';
  /** By the shells' custom, 128 plus the signal's number. */
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super('interrupted');
    this.exitCode = signal === 'SIGINT' ? 130 : 143;
  }
}

/** Errors of the libraries that speak of the user's files and devices rather than of a fault in a program. */
const aboutTheInput = new Set([
  'AdapterError',
  'ChatTemplateError',
  'CheckpointError',
  'ConfigError',
  'CrowdError',
  'DataError',
  'DatasetError',
  'DecodeError',
  'DeviceError',
  'DivergedError',
  'ImageError',
  'MailError',
  'ModelFileError',
  'ModelFolderError',
  'NameMismatchError',
  'SafetensorsError',
  'SourceError',
  'TorchFileError',
  'TrackingFileError',
  'TrajectoryError',
  'WeightsError',
]);

const oneLine = (text: string) => text.replaceAll(/\s*\n\s*/g, ' ').trim();

/** What the user reads of an error, and the exit code: 2 where the user can put it right, 1 where we must. */
export function describeError(error: unknown, verbose: boolean): { text: string; exitCode: number } {
  if (!(error instanceof Error)) return { text: `unexpected error: ${String(error)}`, exitCode: 1 };
  const path = 'path' in error ? `'${String(error.path)}'` : error.message;
  const known = fileError(path, error) as Error;
  if ('exitCode' in known && typeof known.exitCode === 'number') {
    return { text: known.message, exitCode: known.exitCode };
  }
  // a parser's message may quote the lines it stumbled on
  if (aboutTheInput.has(error.name)) return { text: oneLine(error.message), exitCode: 2 };
  const [firstLine] = error.message.split('\n');
  return {
    text: verbose
      ? `unexpected error: ${error.stack}`
      : `unexpected error: ${firstLine} (--verbose shows where)`,
    exitCode: 1,
  };
}
