import { utcDate } from '@working-papers/daily/dates';
import { latestDate } from '@working-papers/daily/papers/editions';
import { editions } from '@working-papers/edition';
import { services } from './services.ts';

/** The newest day with papers. A clock that is behind our first edition would otherwise show an empty page. */
export async function newestDay(): Promise<string> {
  return (await latestDate(services().database.db, utcDate(new Date()))) ?? editions[0].date;
}
