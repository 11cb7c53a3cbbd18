import { type Cookies, redirect } from '@sveltejs/kit';
import { logOut, type Reader, readSession, type Session } from '@working-papers/daily/accounts/sessions';
import { resolve } from '$app/paths';
import { services } from './services.ts';

const name = 'session';

/** Nobody's script reads it, no other site's form sends it, and over https nothing else carries it. */
const options = (url: URL) =>
  ({ path: '/', httpOnly: true, sameSite: 'lax', secure: url.protocol === 'https:' }) as const;

/** Whose visit this is. */
export async function readerOf(cookies: Cookies): Promise<Reader | undefined> {
  const token = cookies.get(name);
  if (token === undefined) return undefined;
  const { database, settings } = services();
  return readSession(database.db, settings, token);
}

export function begin(cookies: Cookies, url: URL, { token, expiresAt }: Session): void {
  cookies.set(name, token, { ...options(url), expires: expiresAt });
}

export async function end(cookies: Cookies, url: URL): Promise<void> {
  const token = cookies.get(name);
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
