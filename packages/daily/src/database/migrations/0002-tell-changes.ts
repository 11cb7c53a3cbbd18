/** Whoever keeps pages that were made of papers is told when these change: the channel `papers_changed`, at commit. */
export const tellChanges: readonly string[] = [
  `create function tell_change() returns trigger language plpgsql as $$
   begin
     perform pg_notify('papers_changed', '');
     return null;
   end $$`,
  ...['editions', 'edition_papers'].map(
    (table) => `create trigger tell_change after insert or update or delete on ${table}
       for each statement execute function tell_change()`,
  ),
  // Not when a worker notes that it has asked for a paper.
  `create trigger tell_change after insert or delete or update of version, title, authors, abstract, published_at,
     published_precision, updated_at, categories, keywords, links, doi, journal, comment, code_url, code_stars,
     project_url, withdrawn, source_upvotes, source_comments, votes, work_id, work_name, work_state, summary, mismatch,
     subject on papers for each statement execute function tell_change()`,
];
