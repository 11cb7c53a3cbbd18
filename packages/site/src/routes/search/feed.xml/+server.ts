import { searchFeed } from '#lib/server/feeds.ts';
import { problem } from '#lib/server/problem.ts';

export const GET = problem(({ url }) => searchFeed(url.searchParams));
