import { readFileSync } from 'node:fs';
import { editions } from '@working-papers/edition';
import { registry } from './papers.ts';
import { runInProcess } from './process.ts';
import { wp } from './wp.ts';

const manifest = new URL('../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
await runInProcess(wp(editions, registry), version);
