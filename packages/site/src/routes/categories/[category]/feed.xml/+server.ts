import { categoryFeed } from '#lib/server/feeds.ts';
import { problem } from '#lib/server/problem.ts';
import type { RequestEvent } from './$types';

export const GET = problem(({ params }: RequestEvent) => categoryFeed(params.category));
