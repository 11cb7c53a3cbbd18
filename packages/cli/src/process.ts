import { Interruption } from './errors.ts';
import { type Group, runProgram } from './program.ts';

/** One key press may arrive twice, from the terminal and handed on by the launcher. */
const onePress = 500; // ms

/** Gives a program this process: its arguments, streams, signals and exit code. */
export async function runInProcess(root: Group, version: string): Promise<never> {
  const { stdout, stderr } = process;
  // `wp list | head -1` closes the pipe early, which is no error of anybody's.
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  }

  const interrupt = new AbortController();
  let pressedAt = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const interruption = new Interruption(name);
    process.on(name, () => {
      const now = performance.now();
      if (!interrupt.signal.aborted) {
        pressedAt = now;
        interrupt.abort(interruption);
      } else if (now - pressedAt > onePress) {
        process.exit(interruption.exitCode);
      }
    });
  }

  const world = { version, streams: { stdout, stderr }, signal: interrupt.signal };
  const code = await runProgram(root, process.argv.slice(2), world);
  await Promise.all([stdout, stderr].map((stream) => new Promise((done) => stream.write('', done))));
  // Not left to the event loop: a worker of the engine may still wait for work.
  process.exit(code);
}
