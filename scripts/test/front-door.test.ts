import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';

const frontDoor = join(import.meta.dirname, '..', 'front-door.mjs');

function open(door: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [door, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

test('a busy port is refused in one line before anything is installed or built', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = String((server.address() as AddressInfo).port);
  const refused = {
    status: 2,
    stdout: '',
    stderr: `Port ${port} on 127.0.0.1 is taken. Choose another one with --port.\n`,
  };
  assert.deepEqual(open(frontDoor, ['start', '--port', port]), refused);
  assert.deepEqual(open(frontDoor, ['start', `--port=${port}`, '--host=127.0.0.1']), refused);
  assert.deepEqual(open(frontDoor, ['start'], { PORT: port }), refused);
  server.close();
});

test('an unknown task is refused', () => {
  const { status, stderr } = open(frontDoor, ['tset']);
  assert.deepEqual([status, stderr], [2, "expected one of start, test, found 'tset'\n"]);
});

/** A repository with one package, an npm that only writes down that it was here, and a task that says hello. */
function repository(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'door-'));
  t.after(() => rmSync(root, { recursive: true }));
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const lock = (version: string) =>
    write(
      'package-lock.json',
      JSON.stringify({
        packages: {
          '': {},
          'packages/a': {},
          'node_modules/a': { link: true },
          'node_modules/b': { version },
          'node_modules/only-elsewhere': { version: '1.0.0', optional: true },
        },
      }),
    );
  cpSync(frontDoor, join(root, 'scripts', 'front-door.mjs'));
  write('scripts/test.ts', "console.log('hello', ...process.argv.slice(2)); process.exit(3);");
  write(
    'npm.mjs',
    `import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
    delete packages['node_modules/only-elsewhere'];
    mkdirSync('node_modules', { recursive: true });
    writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }));
    writeFileSync('npm.log', process.argv[2] + ' ' + process.env.ONNXRUNTIME_NODE_INSTALL);`,
  );
  lock('1.0.0');
  return {
    lock,
    write,
    npmLog: () => readFileSync(join(root, 'npm.log'), 'utf8'),
    test: (...args: string[]) =>
      open(join(root, 'scripts', 'front-door.mjs'), ['test', ...args], {
        npm_execpath: join(root, 'npm.mjs'),
        npm_node_execpath: process.execPath,
      }),
  };
}

test('installs once, again when the lock file asks for other versions, and ends as the task ended', (t) => {
  const { lock, npmLog, test } = repository(t);
  const installing = 'Installing packages (about a minute, only after a change) ...\n';
  assert.deepEqual(test('a', '--b'), { status: 3, stdout: 'hello a --b\n', stderr: installing });
  assert.equal(npmLog(), 'ci skip');
  assert.deepEqual(test(), { status: 3, stdout: 'hello\n', stderr: '' });
  lock('1.0.1');
  assert.equal(test().stderr, installing);
  assert.equal(test().stderr, '');
});

test('an installation that fails says what npm said, and no task runs', (t) => {
  const { write, test } = repository(t);
  write('npm.mjs', "console.error('no network'); process.exit(1);");
  const { status, stdout, stderr } = test();
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /\nno network\nnpm ci failed: the lines above say why\n$/);
});
