import { newestFeed } from '#lib/server/feeds.ts';
import { newestDay } from '#lib/server/latest.ts';
import { problem } from '#lib/server/problem.ts';

export const GET = problem(async () => newestFeed(await newestDay()));
