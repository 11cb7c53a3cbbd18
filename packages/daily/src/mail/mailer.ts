import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@working-papers/nn/atomic';
import { createTransport } from 'nodemailer';
import { readAddress } from '../accounts/addresses.ts';
import { mails } from '../metrics.ts';
import type { Settings } from '../settings.ts';

/** A mail to one reader. */
export interface Letter {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The same letter has the same one however often it is sent. Without it, one is made. */
  readonly messageId?: string;
  /** Address that ends what the letter belongs to, by one POST (RFC 8058). */
  readonly unsubscribe?: string;
}

export interface Mailer {
  /** `folder`: no mail server is known, and letters are written as .eml files for the operator. */
  readonly kind: 'smtp' | 'folder';
  /** Resolves when the mail server has taken the letter over. Throws a `MailError`. */
  send(letter: Letter): Promise<void>;
  /** Throws a `MailError` where the server does not answer or does not know us. */
  verify(): Promise<void>;
  close(): void;
}

/** Why a letter did not leave. */
export class MailError extends Error {
  override readonly name = 'MailError';
  /** `recipient`: refused for good. `letter`: refused for now. `server`: there is no server to speak to. */
  readonly reason: 'recipient' | 'letter' | 'server';

  constructor(message: string, reason: MailError['reason'], cause: unknown) {
    super(message.replaceAll(/\s+/g, ' ').slice(0, 500), { cause });
    this.reason = reason;
  }
}

type Wanted = Pick<Settings, 'smtpUrl' | 'smtpConnections' | 'mailFrom' | 'mailBounce' | 'mailFolder'>;

/** Longest that a mail server may be silent, ms: well below a delivery's lease. */
const silence = 30_000;

export function openMailer(settings: Wanted): Mailer {
  const mailer =
    settings.smtpUrl === undefined ? folderMailer(settings) : smtpMailer(settings, new URL(settings.smtpUrl));
  return {
    ...mailer,
    async send(letter) {
      try {
        checkRecipient(letter.to);
        await mailer.send(letter);
      } catch (error) {
        mails.inc({ outcome: error instanceof MailError ? error.reason : 'server' });
        throw error;
      }
      mails.inc({ outcome: 'sent' });
    },
  };
}

/** Every form checks its address; a mail server is the last place where a second one in it would be noticed. */
function checkRecipient(to: string): void {
  try {
    readAddress(to);
  } catch (error) {
    throw new MailError('no address of a reader', 'recipient', error);
  }
}

function smtpMailer(settings: Wanted, url: URL): Mailer {
  const secure = url.protocol === 'smtps:';
  const transport = createTransport({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    ...(url.username !== '' && {
      auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) },
    }),
    pool: true,
    maxConnections: settings.smtpConnections,
    connectionTimeout: silence,
    greetingTimeout: silence,
    socketTimeout: silence,
    // Letters hold text of strangers: nothing in them may make us open a file or an address.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    kind: 'smtp',
    async send(letter) {
      try {
        await transport.sendMail(toMessage(settings, letter));
      } catch (error) {
        throw toMailError(error);
      }
    },
    async verify() {
      try {
        await transport.verify();
      } catch (error) {
        throw toMailError(error);
      }
    },
    close: () => transport.close(),
  };
}

function folderMailer(settings: Wanted): Mailer {
  const transport = createTransport({
    streamTransport: true,
    buffer: true,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    kind: 'folder',
    async send(letter) {
      const { message, messageId } = await transport.sendMail(toMessage(settings, letter));
      if (!Buffer.isBuffer(message)) throw new Error('expected the letter in memory');
      await mkdir(settings.mailFolder, { recursive: true });
      // Named by its Message-ID: a letter that is sent twice is there once.
      const name = `${messageId.replaceAll(/[^\w.@-]/g, '')}.eml`;
      await writeAtomically(join(settings.mailFolder, name), [message]);
    },
    verify: async () => {},
    close() {},
  };
}

function toMessage({ mailFrom, mailBounce }: Wanted, letter: Letter) {
  const { to, subject, text, html, messageId, unsubscribe } = letter;
  return {
    from: mailFrom,
    // As an object, because a text would be read as a list of addresses.
    to: { name: '', address: to },
    envelope: { from: mailBounce ?? mailFrom, to: [to] },
    subject: subject.replaceAll(/\p{Cc}+/gu, ' '),
    text,
    html,
    ...(messageId !== undefined && { messageId }),
    headers: {
      'Auto-Submitted': 'auto-generated',
      ...(unsubscribe !== undefined && {
        'List-Unsubscribe': `<${unsubscribe}>`,
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      }),
    },
  };
}

function toMailError(error: unknown): MailError {
  const { message, responseCode, command } = error as {
    message: string;
    responseCode?: number;
    command?: string;
  };
  if (
    responseCode === undefined ||
    command === 'CONN' ||
    /^AUTH/.test(command ?? '') ||
    responseCode === 421
  ) {
    return new MailError(message, 'server', error);
  }
  const isForGood = responseCode >= 500 && command === 'RCPT TO';
  return new MailError(message, isForGood ? 'recipient' : 'letter', error);
}
