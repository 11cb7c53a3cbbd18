import { UserError } from '@working-papers/paper';
import type { IsoDate } from './database/schema.ts';
import { isIsoDate } from './dates.ts';

/**
 * Where the next page of a list begins: the sort keys of its last row. Lists are cut by keys and never by counting,
 * so that the hundredth page costs what the first does and nothing is shown twice when rows are added.
 */
export type CursorKey = string | number;

export interface Page<T> {
  readonly items: readonly T[];
  /** For the next call; absent on the last page. */
  readonly next?: string;
}

export function writeCursor(keys: readonly CursorKey[]): string {
  return Buffer.from(JSON.stringify(keys)).toString('base64url');
}

/** `shape` holds one example of each key. Throws a `UserError` where the text is none of our cursors. */
export function readCursor<const S extends readonly CursorKey[]>(
  cursor: string | undefined,
  shape: S,
): { readonly [K in keyof S]: S[K] extends number ? number : string } | undefined {
  if (cursor === undefined || cursor === '') return undefined;
  let keys: unknown;
  try {
    keys = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    keys = undefined;
  }
  const fits =
    Array.isArray(keys) &&
    keys.length === shape.length &&
    keys.every((key, index) => typeof key === typeof shape[index] && !String(key).includes('\0'));
  if (!fits)
    throw new UserError(`cursor: expected one that a list has given, found '${cursor.slice(0, 40)}'`);
  return keys as never;
}

/** A key that is a moment. Throws a `UserError` where it is none. */
export function cursorMoment(text: string): Date {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) throw new UserError('cursor: expected one that a list has given');
  return moment;
}

/** A key that is a day. Throws a `UserError` where it is none. */
export function cursorDay(text: string): IsoDate {
  if (!isIsoDate(text)) throw new UserError('cursor: expected one that a list has given');
  return text;
}

/** Cuts one row more than asked for into a page. */
export function toPage<Row, T>(
  rows: readonly Row[],
  limit: number,
  keysOf: (row: Row) => readonly CursorKey[],
  toItem: (row: Row) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(toItem),
    ...(rows.length > limit && last !== undefined && { next: writeCursor(keysOf(last)) }),
  };
}

export const defaultLimit = 30;

/** Throws a `UserError` where the limit is none. */
export function checkLimit(limit: number = defaultLimit, most = 100): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > most) {
    throw new UserError(`limit: expected a whole number from 1 to ${most}, found ${limit}`);
  }
  return limit;
}
