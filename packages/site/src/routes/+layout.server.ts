import { editions } from '@working-papers/edition';
import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = () => {
  const [{ date, number }] = editions;
  return { latest: { date, number } };
};
