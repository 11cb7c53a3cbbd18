import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineCommand, UserError } from '@working-papers/paper';

/** The same door as `npm start`, so that the page is built and served in one way only. */
const frontDoor = join(import.meta.dirname, '..', '..', '..', '..', 'scripts', 'front-door.mjs');

export const serve = defineCommand({
  summary: 'build the page where it is out of date, and serve it',
  options: {
    port: {
      type: 'integer',
      description: 'port to listen on, 0 for any free one; default 3000',
      min: 0,
      max: 65535,
    },
    host: { type: 'string', description: 'address to listen on; default 127.0.0.1' },
  },
  examples: ['wp serve --port 8080 --host 0.0.0.0'],
  async execute({ options, signal }) {
    if (!existsSync(frontDoor)) throw new UserError('the page is served from a clone of the repository only');
    // Only what was given: the defaults are the server's.
    const given = Object.entries(options).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, String(value)],
    );
    const server = spawn(process.execPath, [frontDoor, 'start', ...given], { stdio: 'inherit' });
    signal.addEventListener('abort', () => server.kill('SIGTERM'));
    const code = await new Promise<number | null>((resolve, reject) => {
      server.on('error', reject);
      server.on('exit', resolve);
    });
    // The server has said why in its own words.
    if (code) process.exit(code);
  },
});
