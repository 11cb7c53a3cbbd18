import type { RequestEvent } from '@sveltejs/kit';
import { visitOf } from '@working-papers/daily/visits';
import { openLog } from './services.ts';

/** Tells the server around SvelteKit which route answers. While developing there is none. */
export function noteRoute({ platform, route }: RequestEvent): void {
  if (platform) visitOf(platform.req).route = route.id ?? undefined;
}

/** By its route and not by its address, which may hold a token. */
export function askedFor({ platform, request, route }: RequestEvent) {
  return {
    ...(platform && { request: visitOf(platform.req).id }),
    method: request.method,
    route: route.id,
  };
}

/** What nobody expected, for whoever mends it. */
export function logFault(event: RequestEvent, error: unknown): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  // None where the page has ended and cut off who was too slow.
  openLog()?.error('an answer failed', { ...askedFor(event), reason });
}
