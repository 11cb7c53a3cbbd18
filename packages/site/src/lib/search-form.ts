/** A search as its address and its form say it. What is empty or unchecked is left out of the address. */
export interface SearchForm {
  readonly q: string;
  /** ISO dates, or empty. */
  readonly from: string;
  readonly to: string;
  readonly category: string;
  readonly works: boolean;
  readonly code: boolean;
  readonly sort: 'relevance' | 'date';
}

export function readForm(params: URLSearchParams): SearchForm {
  const text = (name: string) => params.get(name)?.trim() ?? '';
  return {
    q: params.get('q') ?? '',
    from: text('from'),
    to: text('to'),
    category: text('category'),
    works: text('works') !== '',
    code: text('code') !== '',
    sort: text('sort') === 'date' ? 'date' : 'relevance',
  };
}

/** `?q=...`, or nothing for an empty search. */
export function writeForm({ q, from, to, category, works, code, sort }: SearchForm): string {
  const params = new URLSearchParams();
  const given = {
    ...{ q: q.trim(), from, to, category: category.trim() },
    ...{ works: works ? '1' : '', code: code ? '1' : '', sort: sort === 'date' ? sort : '' },
  };
  for (const [name, value] of Object.entries(given)) if (value !== '') params.set(name, value);
  return params.size === 0 ? '' : `?${params}`;
}

/** Whether anything but words narrows the search. */
export const hasFilters = ({ from, to, category, works, code, sort }: SearchForm): boolean =>
  from !== '' || to !== '' || category !== '' || works || code || sort === 'date';
