const long = new Intl.DateTimeFormat('en-GB', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
  // An edition's date is a date on the calendar, the same for every reader.
  timeZone: 'UTC',
});

/** `2026-09-10` as `Thursday, 10 September 2026`. */
export function longDate(date: string): string {
  const part = Object.fromEntries(
    long.formatToParts(new Date(`${date}T00:00:00Z`)).map(({ type, value }) => [type, value]),
  );
  return `${part.weekday}, ${part.day} ${part.month} ${part.year}`;
}
