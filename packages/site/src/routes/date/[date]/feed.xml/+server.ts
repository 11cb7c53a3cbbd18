import { periodFeed } from '#lib/server/feeds.ts';
import { periodNamed } from '#lib/server/periods.ts';
import { problem } from '#lib/server/problem.ts';
import type { RequestEvent } from './$types';

export const GET = problem(({ params }: RequestEvent) => periodFeed('day', periodNamed('day', params.date)));
