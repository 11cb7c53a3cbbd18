import { fail, type RequestEvent } from '@sveltejs/kit';
import { RateLimitError } from '@working-papers/daily/accounts/limits';
import { MailError } from '@working-papers/daily/mail/mailer';
import { SourceError } from '@working-papers/daily/sources/http';
import { UserError } from '@working-papers/paper';
import { askedFor } from './request-log.ts';
import { services } from './services.ts';

/** What the page says where a form was wrong, came too often, or its mail did not leave. */
export interface Refusal {
  readonly message: string;
}

/** Of a character that no database keeps and nobody types. */
export const noText = 'expected a text, found a NUL character in it';

/** A form's action: what its reader can put right is said in one line above the form. */
export function formAction<E extends RequestEvent, T>(act: (event: E, form: FormData) => Promise<T>) {
  return async (event: E) => {
    try {
      const form = await event.request.formData();
      for (const [name, value] of form) {
        if (typeof value === 'string' && value.includes('\0')) throw new UserError(`${name}: ${noText}`);
      }
      return await act(event, form);
    } catch (error) {
      const refusal = refusalOf(event, error);
      if (!refusal) throw error;
      return fail(refusal.status, { message: refusal.message } satisfies Refusal);
    }
  };
}

function refusalOf(event: RequestEvent, error: unknown): { status: number; message: string } | undefined {
  if (error instanceof UserError) return { status: 400, message: `${error.message}.` };
  if (error instanceof RateLimitError) {
    event.setHeaders({ 'retry-after': String(error.retryAfter) });
    return { status: 429, message: `Too many at once: please wait ${error.retryAfter} seconds.` };
  }
  if (error instanceof MailError || error instanceof SourceError) {
    services().log.warn(error.name, { ...askedFor(event), reason: error.message });
    const who = error instanceof MailError ? 'The mail server' : 'arXiv';
    return { status: 502, message: `${who} does not answer; please try again later.` };
  }
  return undefined;
}

export const field = (form: FormData, name: string): string => {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
};
