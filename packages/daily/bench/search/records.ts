/** The 2,000 records that are searched beside the edition: known papers, and made-up ones close to what is asked for. */

import { readFileSync } from 'node:fs';
import { addDays } from '@working-papers/daily/dates';
import { monthOfArxivId } from '@working-papers/daily/papers/identifiers';
import type { PaperRecord } from '@working-papers/daily/papers/records';
import { random } from '../corpus.ts';
import { type Facet, methods, tasks, troubles } from './facets.ts';

export const recordCount = 2000;

/** A record and what it is about; of a known paper that is told by the queries' own lists. */
export interface JudgedRecord {
  readonly record: PaperRecord;
  /** Identifiers of its method, task and trouble. */
  readonly facets: readonly string[];
}

export function knownPapers(): readonly PaperRecord[] {
  const lines = readFileSync(new URL('known.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .slice(1);
  return lines.flatMap((line, index) => {
    if (index % 2 === 1) return [];
    const [id = '', title = '', authors = ''] = line.split(' | ');
    return [
      {
        id,
        title,
        authors: authors.split(', '),
        abstract: lines[index + 1]!,
        publishedAt: monthOfArxivId(id),
        publishedPrecision: 'month' as const,
        categories: ['cs.LG'],
      },
    ];
  });
}

const givenNames =
  'Aiko Amara Bruno Carla Deniz Elif Farid Greta Hana Ivo Jana Kofi Lena Marek Nadia Omar Petra Rosa Sven Tariq Uma Viktor Wanda Yusuf Zofia'.split(
    ' ',
  );
const familyNames =
  'Abebe Bergström Castillo Dlamini Eriksen Fischer Ghosh Horváth Ibrahim Jansen Kowalski Lindqvist Moreau Nakamura Oduya Petrov Quispe Ramírez Schäfer Takahashi Ueda Vargas Weber Yılmaz Zieliński'.split(
    ' ',
  );

const plain = (name: string) => name[0]!.toUpperCase() + name.slice(1);

/** One made-up record. Half of its facets are in the title; each is called by one of its names, or only told. */
export function madeUp(index: number): JudgedRecord {
  const next = random(7_000 + index);
  const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
  const [method, task, trouble] = [pick(methods), pick(tasks), pick(troubles)];
  // Others are mentioned and are not what the paper is about: words alone do not tell.
  const other = (facets: readonly Facet[], not: Facet) => pick(facets.filter(({ id }) => id !== not.id));
  const [otherMethod, otherTask, otherTrouble] = [
    other(methods, method),
    other(tasks, task),
    other(troubles, trouble),
  ];
  const [m, t, d] = [pick(method.names), pick(task.names), pick(trouble.names)];
  const title = pick([
    `${plain(m)} for ${t}`,
    `${plain(m)} for ${t} under ${d}`,
    `Revisiting ${m} in ${t}`,
    `${plain(t)} with ${m}: what about ${d}?`,
    `How ${d} hurts ${t}, and what ${m} can do`,
    `Towards ${t} by ${m}`,
    `A study of ${m} against ${d} in ${t}`,
    `Does ${m} help ${t}?`,
  ]);
  const sentences = [
    next() < 0.5 ? task.told : `We look at ${pick(task.names)}.`,
    next() < 0.5 ? method.told : `Our approach rests on ${pick(method.names)}.`,
    next() < 0.5 ? trouble.told : `The difficulty is ${pick(trouble.names)}.`,
    pick([
      `Unlike work on ${pick(otherMethod.names)}, nothing else has to change.`,
      `Methods for ${pick(otherTask.names)} inspired the evaluation.`,
      `We leave ${pick(otherTrouble.names)} and ${pick(otherMethod.names)} to others.`,
      `The same idea was known in ${pick(otherTask.names)}, where ${pick(otherMethod.names)} is common.`,
    ]),
    pick([
      'Experiments on three public benchmarks show consistent gains.',
      'We release models, data and training code.',
      'A short analysis explains when it fails.',
      'Costs fall by half at equal quality.',
    ]),
  ];
  const date = addDays('2026-08-31', -Math.floor(index / 4));
  const [, year, month] = /^..(..)-(..)/.exec(date)!;
  return {
    facets: [method.id, task.id, trouble.id],
    record: {
      id: `${year}${month}.${String(index + 10_000).padStart(5, '0')}`,
      title,
      authors: Array.from(
        { length: 1 + Math.floor(next() * 4) },
        () => `${pick(givenNames)} ${pick(familyNames)}`,
      ),
      abstract: sentences.join(' '),
      publishedAt: new Date(`${date}T12:00:00Z`),
      categories: ['cs.LG'],
    },
  };
}

export function judgedRecords(): readonly JudgedRecord[] {
  const known = knownPapers().map((record) => ({ record, facets: [] }));
  return [...known, ...Array.from({ length: recordCount - known.length }, (_, index) => madeUp(index))];
}
