import { readSettings } from '@working-papers/daily/settings';
import { UserError } from '@working-papers/paper';
import { buildSite } from './build.ts';

// Before the build, which takes minutes on a slow machine.
try {
  readSettings(process.env);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exit(error.exitCode);
}

// Building first and importing after, because the server looks for the result as soon as it is loaded.
const notice = setTimeout(() => console.log('Building the page (only after a change) ...'), 500);
await buildSite();
clearTimeout(notice);
await import('./server.ts');
