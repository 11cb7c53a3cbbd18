import { buildSite } from './build.ts';

// Building first and importing after, because the server looks for the result as soon as it is loaded.
const notice = setTimeout(() => console.log('Building the page (only after a change) ...'), 500);
await buildSite();
clearTimeout(notice);
await import('./server.ts');
