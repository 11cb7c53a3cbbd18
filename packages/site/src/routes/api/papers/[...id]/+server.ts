import { answer } from '#lib/server/api.ts';
import { askedPaper } from '#lib/server/asked-paper.ts';
import { toHuggingFace } from '#lib/server/hugging-face.ts';
import { problem } from '#lib/server/problem.ts';
import type { RequestEvent } from './$types';

export const GET = problem(async ({ params }: RequestEvent) => {
  const paper = await askedPaper(params.id);
  // The first day on which it stood.
  return answer(toHuggingFace(paper, paper.dates.at(-1)));
});
