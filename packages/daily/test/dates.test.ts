import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  atLocalHour,
  daysBetween,
  isIsoDate,
  isTimeZone,
  localDate,
  monthOf,
  parsePeriod,
  weekOf,
} from '@working-papers/daily/dates';
import fc from 'fast-check';

test('days that exist', () => {
  for (const date of ['2026-09-10', '2024-02-29']) assert.equal(isIsoDate(date), true);
  for (const date of ['2026-02-29', '2026-9-10', '2026-13-01', 'today', ''])
    assert.equal(isIsoDate(date), false);
  assert.deepEqual(daysBetween('2026-02-27', '2026-03-01'), ['2026-02-27', '2026-02-28', '2026-03-01']);
  assert.deepEqual(daysBetween('2026-03-01', '2026-02-27'), []);
});

test('ISO weeks, at the turn of the year as well', () => {
  assert.deepEqual(weekOf('2026-09-10'), { name: '2026-W37', from: '2026-09-07', to: '2026-09-13' });
  assert.equal(weekOf('2024-12-30').name, '2025-W01');
  assert.equal(weekOf('2027-01-03').name, '2026-W53');
  assert.deepEqual(parsePeriod('week', '2026-W53')?.from, '2026-12-28');
  assert.equal(parsePeriod('week', '2025-W53'), undefined);
  assert.equal(parsePeriod('week', '2026-W00'), undefined);
  assert.deepEqual(monthOf('2024-02-10'), { name: '2024-02', from: '2024-02-01', to: '2024-02-29' });
  assert.equal(parsePeriod('month', '2026-13'), undefined);
  assert.equal(parsePeriod('day', '2026-02-30'), undefined);
});

test('a local hour is found wherever the reader lives, and on days on which clocks change', () => {
  const cases: readonly (readonly [string, number, string, string])[] = [
    ['2026-09-10', 7, 'UTC', '2026-09-10T07:00:00.000Z'],
    ['2026-09-10', 7, 'Europe/Berlin', '2026-09-10T05:00:00.000Z'],
    ['2026-09-10', 7, 'America/Los_Angeles', '2026-09-10T14:00:00.000Z'],
    ['2026-09-10', 7, 'Pacific/Kiritimati', '2026-09-09T17:00:00.000Z'],
    ['2026-09-10', 7, 'Asia/Kathmandu', '2026-09-10T01:15:00.000Z'],
    ['2026-03-29', 7, 'Europe/Berlin', '2026-03-29T05:00:00.000Z'],
    ['2026-10-25', 7, 'Europe/Berlin', '2026-10-25T06:00:00.000Z'],
    // 2:00 does not exist there: clocks go from 2:00 to 3:00, which is 1:00 UTC.
    ['2026-03-29', 2, 'Europe/Berlin', '2026-03-29T01:00:00.000Z'],
  ];
  for (const [date, hour, zone, expected] of cases) {
    assert.equal(atLocalHour(date, hour, zone).toISOString(), expected, `${date} ${hour} ${zone}`);
  }
});

test('the hour that is found lies on the day that was asked for, in every zone on every day', () => {
  const zones = [
    'Europe/London',
    'America/Sao_Paulo',
    'Australia/Lord_Howe',
    'America/St_Johns',
    'Africa/Cairo',
    'Asia/Tehran',
  ];
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3650 }),
      fc.integer({ min: 5, max: 23 }),
      fc.constantFrom(...zones),
      (day, hour, zone) => {
        const date = new Date(Date.UTC(2020, 0, 1) + day * 86_400_000).toISOString().slice(0, 10);
        assert.equal(localDate(atLocalHour(date, hour, zone), zone), date);
      },
    ),
  );
});

test('names of time zones', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires'])
    assert.ok(isTimeZone(name), name);
  for (const name of ['', 'Mars/Olympus', 'Europe/Berlin\nBcc: x', "UTC'; drop"])
    assert.ok(!isTimeZone(name), name);
});
