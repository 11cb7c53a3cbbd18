import { error } from '@sveltejs/kit';
import { editionOf } from '@working-papers/edition';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ params }) => {
  const edition = editionOf(params.date);
  if (!edition) error(404, `No edition appeared on “${params.date}”.`);
  return { edition };
};
