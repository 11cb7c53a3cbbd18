import { isHttpError, type RequestEvent } from '@sveltejs/kit';
import { UserError } from '@working-papers/paper';
import { logFault } from './request-log.ts';

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  404: 'Not found',
  405: 'Method not allowed',
  429: 'Too many requests',
  500: 'Server error',
};

/** An answer as RFC 9457 has it, with one line that says what is wrong. */
export function problemResponse(status: number, detail: string): Response {
  const title = titles[status] ?? 'Error';
  return Response.json(
    { type: 'about:blank', title, status, detail },
    { status, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' } },
  );
}

/** A handler for programs: what a page would say in HTML is said as a problem. */
export function problem<E extends RequestEvent>(
  handler: (event: E) => Response | Promise<Response>,
): (event: E) => Promise<Response> {
  return async (event) => {
    try {
      return await handler(event);
    } catch (error) {
      if (error instanceof UserError) return problemResponse(400, error.message);
      if (isHttpError(error)) return problemResponse(error.status, error.body.message);
      logFault(event, error);
      return problemResponse(500, 'Something went wrong here; the server has noted it.');
    }
  };
}
