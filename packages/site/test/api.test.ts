import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { samplePapers } from './sample.ts';
import { type ServedPage, servePage } from './serve.ts';

let page: ServedPage;
before(async () => {
  page = await servePage({ sample: true });
});
after(() => page[Symbol.asyncDispose]());

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<
      string,
      { get: { responses: Record<string, { content: Record<string, { schema: { $ref: string } }> }> } }
    >
  >;
}

interface List {
  readonly papers: readonly { readonly id: string; readonly work: unknown }[];
  readonly next: string | null;
}

type Daily = readonly {
  readonly paper: {
    readonly id: string;
    readonly authors: readonly { readonly name: string }[];
    readonly submittedOnDailyAt: string;
    readonly githubRepo?: string;
    readonly projectPage?: string;
  };
  readonly publishedAt: string;
}[];

async function document() {
  const openApi = (await (await fetch(`${page.origin}/api/v1/openapi.json`)).json()) as OpenApi;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  Reflect.apply(addFormats.default ?? addFormats, undefined, [ajv]);
  ajv.addSchema(openApi, 'api');
  /** Fetches and holds the answer against the schema that the document has for its path and status. */
  const get = async <Body = unknown>(path: string, template = path.split('?')[0]!) => {
    const response = await fetch(page.origin + path);
    const declared = openApi.paths[template]?.get.responses[response.status]?.content;
    assert.ok(declared, `${path}: ${response.status} is not declared`);
    const [[type, { schema }]] = Object.entries(declared) as [[string, { schema: { $ref: string } }]];
    assert.equal(response.headers.get('content-type')?.split(';')[0], type, path);
    const body = (await response.json()) as Body;
    const validate = ajv.compile({ $ref: `api${schema.$ref}` });
    assert.ok(validate(body), `${path}: ${ajv.errorsText(validate.errors)}`);
    return { status: response.status, body, headers: response.headers };
  };
  return { openApi, get };
}

test('every answer fits the document that the page serves', async () => {
  const { openApi, get } = await document();
  assert.equal(openApi.openapi, '3.1.0');
  const seen = new Set<string>();
  for (const [path, template] of [
    ['/api/v1/papers?limit=3'],
    ['/api/v1/papers?category=math'],
    ['/api/v1/papers/2609.10004', '/api/v1/papers/{id}'],
    ['/api/v1/papers/math/0309136', '/api/v1/papers/{id}'],
    ['/api/v1/papers/jei-dnn', '/api/v1/papers/{id}'],
    ['/api/v1/editions?limit=2'],
    ['/api/v1/editions/latest', '/api/v1/editions/{name}'],
    ['/api/v1/editions/2026-09-10', '/api/v1/editions/{name}'],
    ['/api/v1/editions/2026-W37?limit=100', '/api/v1/editions/{name}'],
    ['/api/v1/editions/2026-09', '/api/v1/editions/{name}'],
    ['/api/v1/editions/1999-01-01', '/api/v1/editions/{name}'],
    ['/api/v1/trending?window=30'],
    ['/api/v1/search?q=calibrated&code=true&sort=date'],
    ['/api/v1/search?q=calibrated+attenttion'],
    ['/api/v1/search'],
    ['/api/daily_papers?date=2026-09-10'],
    ['/api/daily_papers?date=1999-01-01'],
    ['/api/daily_papers'],
    ['/api/papers/2310.09163', '/api/papers/{id}'],
    ['/api/papers/2609.20002', '/api/papers/{id}'],
  ] as const) {
    const { status, headers } = await get(path, template);
    assert.equal(status, 200, path);
    assert.equal(headers.get('access-control-allow-origin'), '*');
    seen.add(template ?? path.split('?')[0]!);
  }
  assert.deepEqual([...seen].toSorted(), Object.keys(openApi.paths).toSorted(), 'each path was asked');
});

test('a wrong question is a problem in one line that names the parameter', async () => {
  const { get } = await document();
  for (const [path, status, detail, template] of [
    ['/api/v1/papers?limit=x', 400, "limit: expected a whole number, found 'x'"],
    ['/api/v1/papers?limit=0', 400, 'limit: expected a whole number from 1 to 100, found 0'],
    ['/api/v1/papers?cursor=x', 400, "cursor: expected one that a list has given, found 'x'"],
    ['/api/v1/search?from=2026-02-30', 400, "from: expected a day as 2026-09-10, found '2026-02-30'"],
    ['/api/v1/search?category=c%00s', 400, 'address: expected a text, found a NUL character in it'],
    ['/api/v1/search?category=c+s', 400, "category: expected one as cs.LG, found 'c s'"],
    ['/api/v1/search?works=maybe', 400, "works: expected true or false, found 'maybe'"],
    ['/api/v1/search?sort=votes', 400, "sort: expected relevance or date, found 'votes'"],
    ['/api/v1/trending?window=2', 400, 'window: expected one of 1, 7, 30 days, found 2'],
    ['/api/v1/papers/nobody', 404, 'No edition has a paper “nobody”.', '/api/v1/papers/{id}'],
    ['/api/v1/papers/2609.99999v2', 404, 'arXiv:2609.99999 has not appeared here.', '/api/v1/papers/{id}'],
    [
      '/api/v1/editions/yesterday',
      404,
      'There is no edition “yesterday”: expected a day as 2026-09-10, a week as 2026-W37, a month as 2026-09, or latest.',
      '/api/v1/editions/{name}',
    ],
    ['/api/daily_papers?date=today', 400, "date: expected a day as 2026-09-10, found 'today'"],
    ['/api/daily_papers?limit=1000', 400, 'limit: expected a whole number from 1 to 100, found 1000'],
  ] as const) {
    const { body, ...answer } = await get<{ detail: string }>(path, template);
    assert.deepEqual([answer.status, body.detail], [status, detail], path);
  }
  const late = await get('/api/daily_papers?date=2999-01-01');
  assert.equal(late.status, 400);
  const nowhere = await fetch(`${page.origin}/api/v2/papers`);
  assert.equal(nowhere.status, 404);
  assert.equal(nowhere.headers.get('content-type'), 'application/problem+json');
});

test('a list is walked by its cursors, each paper once and in one order', async () => {
  const { get } = await document();
  const ids: string[] = [];
  let cursor: string | null = '';
  do {
    const path: string = `/api/v1/editions/2026-09-09?limit=7&cursor=${cursor}`;
    const { body }: { body: List } = await get<List>(path, '/api/v1/editions/{name}');
    ids.push(...body.papers.map(({ id }) => id));
    cursor = body.next;
  } while (cursor);
  assert.deepEqual(
    ids,
    samplePapers.map(({ id }) => id),
  );
});

test('the days with papers, newest first, our own edition among them, each once', async () => {
  const { get } = await document();
  interface Days {
    readonly editions: readonly {
      date: string;
      url: string;
      papers: number;
      own: { number: number } | null;
    }[];
    readonly next: string | null;
  }
  const days: Days['editions'][number][] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body }: { body: Days } = await get<Days>(`/api/v1/editions?limit=2&cursor=${cursor}`);
    days.push(...body.editions);
    cursor = body.next;
  }
  const dates = days.map(({ date }) => date);
  assert.deepEqual(dates, [...new Set(dates)].toSorted().reverse());
  const own = days.find(({ date }) => date === '2026-09-10');
  assert.deepEqual([own?.own?.number, own?.papers, own?.url], [1, 14, `${page.origin}/date/2026-09-10`]);
  assert.ok(days.every(({ papers }) => papers > 0));
  assert.equal(days.find(({ date }) => date === '2026-09-09')?.own, null);
});

test('a client of Hugging Face’s finds what it looks for', async () => {
  const { get } = await document();
  const { body } = await get<Daily>('/api/daily_papers?date=2026-09-09&limit=5');
  assert.equal(body.length, 5);
  const first = body[0]!;
  const sample = samplePapers[0]!;
  assert.deepEqual(Object.keys(first).toSorted(), [
    'numComments',
    'paper',
    'publishedAt',
    'summary',
    'title',
  ]);
  assert.equal(first.paper.id, sample.id);
  assert.deepEqual(first.paper.authors, [{ name: sample.authors[0] }]);
  assert.equal(first.paper.submittedOnDailyAt, '2026-09-09T00:00:00.000Z');
  assert.equal(first.paper.githubRepo, sample.codeUrl);
  assert.equal(first.publishedAt, sample.publishedAt.toISOString());
  // What a source says is an address is one only when it is.
  const { body: hostile } = await get<Daily[number]['paper']>('/api/papers/2609.20002', '/api/papers/{id}');
  assert.equal(hostile.githubRepo, undefined);
  assert.equal(hostile.projectPage, 'https://example.org/project');
});

test('the edition’s subject finds its eleven papers first', async () => {
  const { get } = await document();
  const { body } = await get<List>('/api/v1/search?q=training-inference%20mismatch&limit=11');
  assert.equal(body.papers.filter(({ work }) => work !== null).length, 11);
});
