/** Where the links in mails lead: the page answers under these. */

import { isSigned, sign } from '../accounts/tokens.ts';

export const paths = {
  login: '/login',
  confirm: '/subscribe/confirm',
  unsubscribe: '/unsubscribe',
  paper: '/papers',
} as const;

function address(baseUrl: string, path: string, parameters: Readonly<Record<string, string>>): string {
  return `${baseUrl}${path}?${new URLSearchParams(parameters)}`;
}

export const loginAddress = (baseUrl: string, token: string) => address(baseUrl, paths.login, { token });
export const confirmAddress = (baseUrl: string, token: string) => address(baseUrl, paths.confirm, { token });
export const paperAddress = (baseUrl: string, id: string) => `${baseUrl}${paths.paper}/${id}`;

/** What a link to unsubscribe ends. */
export type Ending = { readonly kind: 'subscription' | 'alert'; readonly id: string };

/** Works without signing in and for ever, so it proves itself instead of being stored. */
export function unsubscribeAddress(baseUrl: string, secret: string, { kind, id }: Ending): string {
  return address(baseUrl, paths.unsubscribe, { kind, id, proof: sign(secret, `unsubscribe ${kind}`, id) });
}

/** Undefined where the proof is none of ours. */
export function readUnsubscribe(secret: string, parameters: URLSearchParams): Ending | undefined {
  const kind = parameters.get('kind') ?? '';
  const id = parameters.get('id') ?? '';
  const proof = parameters.get('proof') ?? '';
  if (kind !== 'subscription' && kind !== 'alert') return undefined;
  return isSigned(secret, `unsubscribe ${kind}`, id, proof) ? { kind, id } : undefined;
}
