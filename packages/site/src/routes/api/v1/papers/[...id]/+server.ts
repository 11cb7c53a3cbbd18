import { answer, toApiDetails } from '#lib/server/api.ts';
import { askedPaper } from '#lib/server/asked-paper.ts';
import { problem } from '#lib/server/problem.ts';
import type { RequestEvent } from './$types';

export const GET = problem(async ({ params }: RequestEvent) =>
  answer(toApiDetails(await askedPaper(params.id))),
);
