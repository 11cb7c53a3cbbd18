import type { RequestEvent } from '@sveltejs/kit';
import type { Handle, HandleServerError, ServerInit } from '@sveltejs/kit/hooks';
import { UserError } from '@working-papers/paper';
import { isolationHeaders } from '#lib/security.ts';
import { noText } from '#lib/server/forms.ts';
import { problemResponse } from '#lib/server/problem.ts';
import { logFault, noteRoute } from '#lib/server/request-log.ts';
import { closeServices, openServices, services } from '#lib/server/services.ts';
import { readerOf } from '#lib/server/session.ts';

export const init: ServerInit = async () => {
  await openServices(process.env);
  // adapter-node's own event, which server.ts sends after the last answer.
  process.once('sveltekit:shutdown', closeServices);
};

const isHostile = (url: URL) => /%00/.test(url.href);

export const handle: Handle = async ({ event, resolve }) => {
  noteRoute(event);
  if (isHostile(event.url)) return problemResponse(400, `address: ${noText}`);
  event.locals.reader = await readerOf(event.cookies);
  const make = async () =>
    resolve(event, {
      // Both fonts above the fold, so that the first paint has the final letters.
      preload: ({ type, path }) =>
        type === 'js' || type === 'css' || (type === 'font' && path.includes('newsreader-latin-opsz')),
    });
  const response = isForAll(event) ? await services().pages.answer(event.url.href, make) : await make();
  for (const [name, value] of Object.entries(isolationHeaders)) response.headers.set(name, value);
  return response;
};

/** Pages that whoever is not signed in sees alike. Not what SvelteKit's own script asks for while one browses. */
const sharedRoutes = [
  '/',
  '/date/[date]',
  '/week/[week]',
  '/month/[month]',
  '/trending',
  '/papers/[...id]',
  '/search',
];

function isForAll({ request, route, isDataRequest, cookies }: RequestEvent): boolean {
  return (
    request.method === 'GET' &&
    !isDataRequest &&
    route.id !== null &&
    sharedRoutes.includes(route.id) &&
    cookies.getAll().length === 0
  );
}

export const handleError: HandleServerError = ({ kind, error, event }) => {
  if (kind !== 'unknown') return;
  // What a reader asked for wrongly: a day that does not exist, a cursor of no list.
  if (error instanceof UserError) return { status: 400, message: error.message };
  logFault(event, error);
  return { message: 'Something went wrong here; the server has noted it.' };
};
