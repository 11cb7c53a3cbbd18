import { UserError } from '@working-papers/paper';

/**
 * A mail address as it is stored: lower case, without what could begin another header or another recipient.
 * Deliberately narrower than RFC 5322: no quotes, no comments, one host with a dot or `localhost`.
 * Throws a `UserError` where the text is none.
 */
export function readAddress(text: string): string {
  const address = text.normalize('NFC').trim().toLowerCase();
  const [local = '', host = '', ...more] = address.split('@');
  const isLocal = /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u.test(local);
  const isHost = /^([\p{L}\p{N}]([\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}\p{N}-]{2,}$|^localhost$/u.test(host);
  if (more.length > 0 || !isLocal || !isHost || local.length > 64 || address.length > 254) {
    const shown = text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 80);
    throw new UserError(`email: expected an address as ada@example.org, found '${shown}'`);
  }
  return address;
}
