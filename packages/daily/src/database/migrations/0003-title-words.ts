/**
 * The words of titles as a column: an index on the expression made every row that was looked at in another order
 * parse its title anew, a hundred times the cost of the search itself.
 */
export const titleWords: readonly string[] = [
  `drop index papers_title_words`,
  `alter table papers add column title_words tsvector not null
     generated always as (to_tsvector('paper_words', title)) stored`,
  `create index papers_title_words on papers using gin (title_words)`,
  // Without figures of the new column every word would be taken for a rare one.
  `analyze papers`,
];
