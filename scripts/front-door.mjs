// `npm start` and `npm test` on a fresh clone: installs what the lock file names unless it is there already, then
// runs the task on our own Node 24. Plain JavaScript without packages, because all that is certain is Node 20.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const tasks = {
  start: ['packages/site/start.ts'],
  test: ['scripts/test.ts'],
};

const [task, ...args] = process.argv.slice(2);
const script = tasks[task];
if (!script) refuse(`expected one of ${Object.keys(tasks).join(', ')}, found '${task ?? ''}'`);
// Asked before the work, not after it: installing and building can take minutes.
if (task === 'start') await refuseBusyPort(args);
install();
run([...script, ...args]);

/** The one line for a fault that the user can put right. */
function refuse(line) {
  console.error(line);
  process.exit(2);
}

/** Anything else that is wrong with the address is the server's to say. */
async function refuseBusyPort(args) {
  const value = (name) => {
    const at = args.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
    return at < 0 ? process.env[name.toUpperCase()] : (args[at].split('=')[1] ?? args[at + 1]);
  };
  const port = Number(value('port') ?? 3000);
  const host = value('host') ?? '127.0.0.1';
  if (!Number.isInteger(port) || port < 0 || port > 65535) return;
  const fault = await new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', (error) => resolve(error.code));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
  if (fault === 'EADDRINUSE') refuse(`Port ${port} on ${host} is taken. Choose another one with --port.`);
}

function install() {
  if (isInstalled()) return;
  console.error('Installing packages (about a minute, only after a change) ...');
  const { npm_execpath: npm, npm_node_execpath: node = process.execPath } = process.env;
  const options = ['--no-audit', '--no-fund', '--loglevel=error'];
  const command = existsSync(join(root, 'package-lock.json')) ? 'ci' : 'install';
  const [file, before] = npm ? [node, [npm]] : ['npm', []];
  const { status, stdout, stderr, error } = spawnSync(file, [...before, command, ...options], {
    cwd: root,
    encoding: 'utf8',
    // The package's own script would fetch 300 MB of CUDA libraries from elsewhere; the README says how to want them.
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ...process.env },
  });
  if (status !== 0) {
    console.error(`${stdout ?? ''}${stderr ?? error}`.trim());
    console.error(`npm ${command} failed: the lines above say why`);
    process.exit(1);
  }
}

/** Whether every locked package is there in its locked version. Dates would lie: a checkout makes files new. */
function isInstalled() {
  const read = (path) => {
    try {
      return JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
    } catch {
      return undefined;
    }
  };
  const installed = read('node_modules/.package-lock.json');
  const locked = read('package-lock.json') ?? {};
  return (
    installed !== undefined &&
    Object.entries(locked).every(
      ([path, { version, optional, devOptional }]) =>
        !path.includes('node_modules/') ||
        optional ||
        devOptional ||
        (installed[path] && installed[path].version === version),
    )
  );
}

function run(command) {
  const bin = join(root, 'node_modules', '.bin');
  const ours = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  const node = existsSync(ours) ? ours : process.execPath;
  const child = spawn(node, ['--conditions=source', ...command], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
  // A terminal has sent SIGINT to the child as well, so it gets another signal from us, not the same one twice.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
