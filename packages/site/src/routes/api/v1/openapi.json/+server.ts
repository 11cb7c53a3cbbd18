import { answer } from '#lib/server/api.ts';
import { openApi } from '#lib/server/openapi.ts';
import { problem } from '#lib/server/problem.ts';
import { services } from '#lib/server/services.ts';

export const GET = problem(() => answer(openApi(services().settings.baseUrl)));
