import { type Cookies, redirect } from '@sveltejs/kit';
import { logOut, type Reader, readSession, type Session } from '@working-papers/daily/accounts/sessions';
import { isSigned, sign } from '@working-papers/daily/accounts/tokens';
import { signingSecret } from '@working-papers/daily/mail/subscriptions';
import { resolve } from '$app/paths';
import { services } from './services.ts';

const name = 'session';

/** Nobody's script reads it, no other site's form sends it, and over https nothing else carries it. */
const options = (url: URL) =>
  ({ path: '/', httpOnly: true, sameSite: 'lax', secure: url.protocol === 'https:' }) as const;

/** Read once, because it never changes. */
let secret: Promise<string> | undefined;
const signing = () => {
  secret ??= signingSecret(services().database.db);
  return secret;
};
const purpose = 'session';

/** A cookie is a token and our signature: what we have not made costs no question to the database. */
async function tokenOf(cookies: Cookies): Promise<string | undefined> {
  const [token, signature, ...rest] = (cookies.get(name) ?? '').split('.');
  if (!token || !signature || rest.length > 0) return undefined;
  return isSigned(await signing(), purpose, token, signature) ? token : undefined;
}

/** Whose visit this is. */
export async function readerOf(cookies: Cookies): Promise<Reader | undefined> {
  const token = await tokenOf(cookies);
  if (token === undefined) return undefined;
  const { database, settings } = services();
  return readSession(database.db, settings, token);
}

export async function begin(cookies: Cookies, url: URL, { token, expiresAt }: Session): Promise<void> {
  const signed = `${token}.${sign(await signing(), purpose, token)}`;
  cookies.set(name, signed, { ...options(url), expires: expiresAt });
}

export async function end(cookies: Cookies, url: URL): Promise<void> {
  const token = await tokenOf(cookies);
  if (token !== undefined) await logOut(services().database.db, token);
  cookies.delete(name, options(url));
}

/** The reader, or on to signing in and back. */
export function signedIn({ locals, url }: { locals: App.Locals; url: URL }): Reader {
  if (!locals.reader) redirect(303, `${resolve('/login')}?${new URLSearchParams({ to: url.pathname })}`);
  return locals.reader;
}

/** A path of this page and of no other: what a form or a link says where to go on is not to be trusted. */
export function ownPath(path: string | null): string {
  return path !== null && /^\/(?![/\\])[\w/.:%-]*$/.test(path) ? path : resolve('/library');
}
