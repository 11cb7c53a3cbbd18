import { editions } from '@working-papers/edition';
import type { PageServerLoad } from './$types';

export const load: PageServerLoad = () => ({ edition: editions[0] });
