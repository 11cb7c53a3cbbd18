import { confirm } from '@working-papers/daily/mail/subscriptions';
import { UserError } from '@working-papers/paper';
import { field, formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = ({ url }) => ({ token: url.searchParams.get('token') ?? '' });

export const actions = {
  default: formAction(async (event: RequestEvent, form) => {
    const { database, settings } = services();
    const visitor = event.getClientAddress();
    const confirmed = await confirm(database.db, settings, { token: field(form, 'token'), visitor });
    if (!confirmed) throw new UserError('This link has been used or is too old; please subscribe again');
    const { email, frequency, nextDueAt, timeZone } = confirmed;
    return {
      email,
      frequency,
      next: nextDueAt.toLocaleString('en-GB', { timeZone, dateStyle: 'full', timeStyle: 'short' }),
    };
  }),
} satisfies Actions;
