import { redirect } from '@sveltejs/kit';
import { logIn, requestLogin } from '@working-papers/daily/accounts/sessions';
import { UserError } from '@working-papers/paper';
import { field, formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import { begin, ownPath } from '#lib/server/session.ts';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = ({ url, locals }) => {
  const { mailer, settings } = services();
  return {
    token: url.searchParams.get('token') ?? '',
    to: ownPath(url.searchParams.get('to')),
    email: locals.reader?.email,
    minutes: settings.loginMinutes,
    mailer: mailer.kind,
  };
};

export const actions = {
  /** Says the same whether the address has an account or not. */
  send: formAction(async (event: RequestEvent, form) => {
    const { database, mailer, settings } = services();
    const email = field(form, 'email');
    await requestLogin(database.db, mailer, settings, { email, visitor: event.getClientAddress() });
    return { sent: email.trim() };
  }),
  /** A click and not the link itself: programs that look at mails follow links, too. */
  enter: formAction(async (event: RequestEvent, form) => {
    const { database, settings } = services();
    const token = field(form, 'token');
    const session = await logIn(database.db, settings, { token, visitor: event.getClientAddress() });
    if (!session) throw new UserError('This link has been used or is too old; ask for a new one');
    await begin(event.cookies, event.url, session);
    redirect(303, ownPath(field(form, 'to')));
  }),
} satisfies Actions;
