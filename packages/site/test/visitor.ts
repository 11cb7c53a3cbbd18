import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import type { ServedPage } from './serve.ts';

type Sent = Omit<RequestInit, 'headers'> & {
  /** The page's own where it is left out, none where it is undefined. */
  origin?: string | undefined;
  headers?: Readonly<Record<string, string>>;
};

/** A visitor with a cookie jar of one, whose browser says where a form comes from. */
export function visitorOf(page: ServedPage) {
  let cookie = '';
  const send = async (path: string, init: Sent = {}) => {
    const { headers, ...rest } = init;
    const origin = 'origin' in init ? init.origin : page.origin;
    const response = await fetch(page.origin + path, {
      redirect: 'manual',
      ...rest,
      headers: {
        accept: 'text/html',
        ...(cookie && { cookie }),
        ...(init.method && origin !== undefined && { origin }),
        ...headers,
      },
    });
    const [set] = response.headers.getSetCookie();
    if (set) cookie = set.split(';')[0]!;
    return response;
  };
  return {
    get cookie() {
      return cookie;
    },
    get: async (path: string) => (await send(path)).text(),
    send,
    post: (path: string, fields: Readonly<Record<string, string>> = {}, more: Sent = {}) =>
      send(path, { method: 'POST', body: new URLSearchParams(fields), ...more }),
  };
}

/** The token in the newest letter to an address, out of the folder where letters lie while there is no mail server. */
export async function tokenInLetter(page: ServedPage, address: string): Promise<string> {
  const folder = join(page.home, 'mail');
  const letters = await Promise.all(
    readdirSync(folder).map((name) => simpleParser(readFileSync(join(folder, name)))),
  );
  const own = letters.filter(({ to }) => [to].flat().some((list) => list?.text.includes(address)));
  const [newest] = own.toSorted((a, b) => Number(b.date) - Number(a.date));
  const [token] = /(?<=token=)[\w-]+/.exec(newest?.text ?? '') ?? [];
  assert.ok(token, `a link in the letter to ${address}`);
  return token;
}

/** Signed in by a letter. */
export async function signedInOn(
  page: ServedPage,
  email: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const reader = visitorOf(page);
  await reader.post('/login?/send', { email });
  const entered = await reader.post(
    '/login?/enter',
    { token: await tokenInLetter(page, email) },
    { headers },
  );
  assert.equal(entered.status, 303);
  return { ...reader, cookie: reader.cookie, entered };
}
