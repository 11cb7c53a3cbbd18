import type { Handle } from '@sveltejs/kit/hooks';
import { isolationHeaders } from '#lib/security.ts';

export const handle: Handle = async ({ event, resolve }) => {
  const response = await resolve(event, {
    // Both fonts above the fold, so that the first paint has the final letters.
    preload: ({ type, path }) =>
      type === 'js' || type === 'css' || (type === 'font' && path.includes('newsreader-latin-opsz')),
  });
  for (const [name, value] of Object.entries(isolationHeaders)) response.headers.set(name, value);
  return response;
};
