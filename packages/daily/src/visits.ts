/** What is known of a request while it is answered, and what is told of it afterwards: in the log and in the metrics. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from './log.ts';
import { requests } from './metrics.ts';

export interface Visit {
  /** As a proxy has called it (`X-Request-Id`), or made here. */
  readonly id: string;
  /** The pattern of what answers; undefined where nothing of ours but a file, or nothing at all, did. */
  route?: string | undefined;
}

const visits = new WeakMap<IncomingMessage, Visit>();

export function visitOf(request: IncomingMessage): Visit {
  let visit = visits.get(request);
  if (!visit) {
    const given = request.headers['x-request-id'];
    // What strangers write into our log is short and plain.
    const id = typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    visit = { id };
    visits.set(request, visit);
  }
  return visit;
}

const methods = new Set(['GET', 'HEAD', 'POST', 'OPTIONS']);

/**
 * Counts an answer when it has ended, and tells of it where there is a log. Its identifier goes with it. Every label has
 * few values, whatever is asked for: others' methods and routes are one.
 */
export function observe(
  request: IncomingMessage,
  response: ServerResponse,
  log: () => Log | undefined,
): void {
  const began = performance.now();
  const visit = visitOf(request);
  response.setHeader('X-Request-Id', visit.id);
  response.once('close', () => {
    const milliseconds = performance.now() - began;
    const method = methods.has(request.method ?? '') ? request.method! : 'other';
    // As a proxy says it of a reader who did not wait.
    const status = response.writableFinished ? response.statusCode : 499;
    const route = visit.route ?? (response.statusCode < 400 ? 'file' : 'none');
    requests.observe({ method, route, status }, milliseconds / 1_000);
    const fields = { request: visit.id, method, route, status, milliseconds: Math.round(milliseconds) };
    log()?.info('answered', fields);
  });
}
