/** What `/api` answers, as OpenAPI 3.1 has it: the tests hold every answer against these schemas. */

type Schema = Readonly<Record<string, unknown>>;

const text = { type: 'string' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const day = { type: 'string', format: 'date' } as const;
const moment = { type: 'string', format: 'date-time' } as const;
const address = { type: 'string', format: 'uri' } as const;
const yes = { type: 'boolean' } as const;
const listOf = (items: Schema) => ({ type: 'array', items });
const orNull = (schema: Schema) => ({ oneOf: [schema, { type: 'null' }] });
const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** Every property is there unless it is named in `optional`, and there are no others. */
function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', required, additionalProperties: false, properties };
}

const work = object({ id: text, name: text, state: { enum: ['works', 'not yet'] } });
const next = { ...orNull(text), description: 'cursor of the next page, null on the last one' };

const paper = {
  id: { ...text, description: 'arXiv identifier without version' },
  url: { ...address, description: 'the paper’s page here' },
  title: { ...text, description: 'may hold TeX' },
  authors: listOf(text),
  abstract: { ...orNull(text), description: 'the authors’ own; may hold TeX' },
  summary: { ...orNull(text), description: 'ours, on papers of our editions' },
  published: {
    ...text,
    pattern: '^\\d{4}-\\d{2}(-\\d{2})?$',
    description: 'a day, or a month where no more is known',
  },
  categories: listOf(text),
  keywords: listOf(text),
  upvotes: { ...count, description: 'votes here and where the paper came from' },
  comments: count,
  codeUrl: orNull(address),
  codeStars: orNull(count),
  projectUrl: orNull(address),
  withdrawn: yes,
  work: { ...orNull(work), description: 'on papers of our editions: the word behind `wp run`' },
};

const details = {
  version: orNull(count),
  updated: orNull(moment),
  links: listOf(object({ label: text, url: address })),
  doi: orNull(text),
  journal: orNull(text),
  comment: orNull(text),
  mismatch: orNull(text),
  subject: orNull(text),
  dates: { ...listOf(day), description: 'days on whose pages it stood, newest first' },
};

const highlight = listOf(object({ text, isHit: yes }));
const highlights = object({ title: highlight, text: highlight });
const papers = listOf(reference('Paper'));

/** Hugging Face's names, and which of them are always there. */
const huggingFacePaper = object(
  {
    id: text,
    authors: listOf(object({ name: text })),
    publishedAt: moment,
    submittedOnDailyAt: moment,
    title: text,
    summary: text,
    upvotes: count,
    githubRepo: address,
    githubStars: count,
    projectPage: address,
    ai_keywords: listOf(text),
  },
  ['submittedOnDailyAt', 'githubRepo', 'githubStars', 'projectPage', 'ai_keywords'],
);

const schemas = {
  Paper: object(paper),
  PaperDetails: object({ ...paper, ...details }),
  PaperList: object({ papers, next }),
  EditionList: object({
    editions: listOf(
      object({
        ...{ date: day, url: text, papers: count },
        own: orNull(object({ number: count, subject: text, question: text })),
      }),
    ),
    next,
  }),
  Edition: object({
    kind: { enum: ['day', 'week', 'month'] },
    name: text,
    from: day,
    to: day,
    total: count,
    editions: listOf(object({ date: day, number: count, subject: text, question: text })),
    previous: orNull(text),
    following: orNull(text),
    papers,
    next,
  }),
  Trending: object({ window: { enum: [1, 7, 30] }, formula: text, papers, next }),
  SearchResult: object({
    corrected: { ...orNull(text), description: 'what was searched for instead of words that stand nowhere' },
    isLoose: { ...yes, description: 'no paper has all of the words; these have most of them' },
    byMeaning: yes,
    papers: listOf(object({ ...paper, highlights })),
    next,
  }),
  HuggingFacePaper: huggingFacePaper,
  HuggingFaceDailyPapers: listOf(
    object({
      paper: reference('HuggingFacePaper'),
      publishedAt: moment,
      title: text,
      summary: text,
      numComments: count,
    }),
  ),
  Problem: object({ type: text, title: text, status: count, detail: text }),
};

type SchemaName = keyof typeof schemas;

const query = (name: string, schema: Schema, description: string) => ({
  name,
  in: 'query',
  required: false,
  schema,
  description,
});

const limit = query('limit', { type: 'integer', minimum: 1, maximum: 100, default: 30 }, 'papers a page');
const cursor = query('cursor', text, '`next` of the page before');
const category = query('category', text, 'as arXiv names them: cs.LG, or cs for all of computer science');
const inPath = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  schema: text,
  description,
});

const body = (schema: SchemaName, type = 'application/json') => ({
  content: { [type]: { schema: reference(schema) } },
});

function get(summary: string, answers: SchemaName, parameters: readonly Schema[] = []) {
  const problem = (description: string) => ({ description, ...body('Problem', 'application/problem+json') });
  return {
    get: {
      summary,
      ...(parameters.length > 0 && { parameters }),
      responses: {
        200: { description: 'the answer', ...body(answers) },
        400: problem('a parameter is wrong'),
        404: problem('there is no such thing'),
        500: problem('the server failed'),
      },
    },
  };
}

export function openApi(baseUrl: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Working Papers',
      version: '1',
      description: 'Papers of the day, editions, trending and search. Lists are cut by cursors.',
    },
    servers: [{ url: baseUrl }],
    paths: {
      '/api/v1/papers': get('The newest papers', 'PaperList', [category, limit, cursor]),
      '/api/v1/papers/{id}': get('One paper', 'PaperDetails', [
        inPath('id', 'an arXiv identifier in any form, or the word of a paper of our editions'),
      ]),
      '/api/v1/editions': get('The days with papers, newest first', 'EditionList', [limit, cursor]),
      '/api/v1/editions/{name}': get('The papers of a day, a week or a month', 'Edition', [
        inPath('name', '2026-09-10, 2026-W37, 2026-09, or latest'),
        limit,
        cursor,
      ]),
      '/api/v1/trending': get('Papers by votes, new votes counting most', 'Trending', [
        query('window', { enum: [1, 7, 30], default: 7 }, 'days'),
        limit,
        cursor,
      ]),
      '/api/v1/search': get('Search by words and by meaning', 'SearchResult', [
        query('q', text, 'words, "phrases", -without, OR'),
        query('from', day, 'first day of publication'),
        query('to', day, 'last day of publication'),
        category,
        query('works', yes, 'only papers that work here'),
        query('code', yes, 'only papers with code'),
        query('sort', { enum: ['relevance', 'date'], default: 'relevance' }, 'order'),
        limit,
        cursor,
      ]),
      '/api/daily_papers': get('The papers of a day, as Hugging Face answers', 'HuggingFaceDailyPapers', [
        query('date', day, 'default: the newest day'),
        query('limit', { type: 'integer', minimum: 1, maximum: 100, default: 50 }, 'papers at most'),
      ]),
      '/api/papers/{id}': get('One paper, as Hugging Face answers', 'HuggingFacePaper', [
        inPath('id', 'an arXiv identifier'),
      ]),
    },
    components: { schemas },
  };
}
