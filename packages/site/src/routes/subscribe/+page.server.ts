import { subscribe } from '@working-papers/daily/mail/subscriptions';
import { field, formAction } from '#lib/server/forms.ts';
import { services } from '#lib/server/services.ts';
import type { Actions, PageServerLoad, RequestEvent } from './$types';

export const load: PageServerLoad = ({ locals }) => ({
  email: locals.reader?.email ?? '',
  timeZone: locals.reader?.timeZone ?? 'UTC',
  hour: services().settings.digestHour,
  zones: Intl.supportedValuesOf('timeZone'),
  mailer: services().mailer.kind,
});

export const actions = {
  /** Says the same whether the address is subscribed already or not. */
  default: formAction(async (event: RequestEvent, form) => {
    const { database, mailer, settings } = services();
    const email = field(form, 'email');
    await subscribe(database.db, mailer, settings, {
      email,
      frequency: field(form, 'frequency'),
      timeZone: field(form, 'zone'),
      visitor: event.getClientAddress(),
    });
    return { sent: email.trim() };
  }),
} satisfies Actions;
