/**
 * A mistake that the user can put right: a wrong argument, a file that is not there, a full disk.
 * Its message is one line that names what was found and what was expected; a program ends with `exitCode`.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly exitCode = 2;

  constructor(message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\s*\n\s*/g, ' ').trim(), options);
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'something listens there already',
  EADDRNOTAVAIL: 'this machine has no such address',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'a file stands in the way',
  EFBIG: 'the file would be larger than allowed here',
  EISDIR: 'it is a folder',
  ENOENT: 'no such file or folder',
  ENOSPC: 'no space left on the disk',
  ENOTFOUND: 'no such host',
  ENOTDIR: 'a part of the path is not a folder',
  EPERM: 'not permitted',
  EROFS: 'the disk is read-only',
};

/**
 * `reading 'cat.jpg'` and ENOENT make "reading 'cat.jpg': no such file or folder". Anything that is not a
 * known answer of the system comes back as it is, so that a bug keeps its stack.
 */
export function fileError(doing: string, cause: unknown): unknown {
  const reason = cause instanceof Error && 'code' in cause ? reasons[String(cause.code)] : undefined;
  return reason === undefined ? cause : new UserError(`${doing}: ${reason}`, { cause });
}
