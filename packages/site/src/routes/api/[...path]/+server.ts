import { problemResponse } from '#lib/server/problem.ts';
import type { RequestHandler } from './$types';

export const GET: RequestHandler = ({ url }) =>
  problemResponse(404, `There is nothing at ${url.pathname}; /api/v1/openapi.json lists what there is.`);
