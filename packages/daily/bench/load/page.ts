import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const site = join(import.meta.dirname, '..', '..', '..', 'site');

export interface RunningPage extends AsyncDisposable {
  readonly origin: string;
}

/** The page as readers get it: built where it has changed, one process. */
export async function startPage(
  environment: Readonly<Record<string, string>>,
  profileFolder?: string,
): Promise<RunningPage> {
  const profiling = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  const server = spawn(
    process.execPath,
    [...profiling, '--conditions=source', join(site, 'start.ts'), '--port', '0'],
    { cwd: site, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const stop = () => server.kill('SIGTERM');
  process.once('exit', stop);
  return {
    origin: await originOf(server),
    async [Symbol.asyncDispose]() {
      process.off('exit', stop);
      const gone = server.exitCode === null ? once(server, 'exit') : undefined;
      stop();
      await gone;
    },
  };
}

function originOf(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let printed = '';
    server.stdout!.on('data', (chunk) => {
      printed += chunk;
      const address = /\bat(?: |":")(http:[^\s"]+)[\s"]/.exec(printed)?.[1];
      if (address) resolve(address);
    });
    server.on('exit', (code) => reject(new Error(`the page ended with code ${code} before it listened`)));
  });
}
