import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const real = join(import.meta.dirname, '..', 'bin', 'wp.mjs');
const fixture = join(import.meta.dirname, 'fixtures', 'wp.ts');

function wp(program: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', program, ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('wrong arguments: one line that says what to do, exit code 2, nothing on stdout', async (t) => {
  const cases: readonly (readonly [program: string, args: string, stderr: string])[] = [
    [real, 'lst', "wp: unknown command 'lst'; did you mean 'list'?"],
    [real, 'list --jsno', "wp list: unknown option --jsno; did you mean '--json'?"],
    [real, 'list extra', "wp list: unexpected argument 'extra'"],
    [real, 'run jei-dn', "wp run: unknown paper 'jei-dn'; did you mean 'jei-dnn'?"],
    [real, 'serve --port http', "wp serve: --port must be a whole number from 0 to 65535, not 'http'"],
    [real, 'serve --port', 'wp serve: --port needs a value: a whole number from 0 to 65535'],
    [real, 'data', 'wp data: COMMAND is missing: one of list, get'],
    [
      real,
      'data get cifr10',
      'wp data get: unknown data set "cifr10": expected one of cifar10, tiny-shakespeare, fsdd, bccd, kitti-tracking, books',
    ],
    [
      real,
      'train cifar10-teacher --classes unicorn',
      'wp train cifar10-teacher: --classes unicorn is none of airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, or 0 to 9',
    ],
    [
      real,
      'train cifar10-teacher --from none.safetensors',
      "wp train cifar10-teacher: none.safetensors is not there: 'wp train cifar10-teacher' makes such a file",
    ],
    [
      real,
      'run agd --class unicorn',
      'wp run agd: --class unicorn is none of airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, or 0 to 9',
    ],
    [fixture, '--colour list', 'wp: unknown option --colour before COMMAND'],
    [fixture, 'run', 'wp run: PAPER is missing: one of echo'],
    [fixture, 'run nothing-like-it', "wp run: unknown paper 'nothing-like-it'; there is echo"],
    [fixture, 'run silence', "wp run: silence does not work yet; 'wp list' shows which papers do"],
    [fixture, 'export echo', "wp export: echo has no 'export', only run, train, bench"],
    [fixture, 'run echo', 'wp run echo: PHOTO is missing: a picture'],
    [fixture, 'run echo a -c 11', "wp run echo: -c must be a number from 0 to 10, not '11'"],
    [
      fixture,
      'run echo a --rule jont',
      "wp run echo: --rule must be one of joint, alone, not 'jont'; did you mean 'joint'?",
    ],
    [fixture, 'run echo a --out --json', 'wp run echo: --out needs a value: a text'],
    [fixture, 'run echo a --no-out', 'wp run echo: unknown option --no-out'],
    [fixture, 'run echo a --compact=yes', "wp run echo: --compact takes no value, not 'yes'"],
    [fixture, 'bench echo --how user', "wp bench echo: cat.txt: expected a picture, found 'text'"],
    [fixture, 'bench echo --how file', "wp bench echo: 'cat.jpg': no such file or folder"],
  ];
  for (const [program, args, stderr] of cases) {
    await t.test(args, () => {
      assert.deepEqual(wp(program, ...args.split(' ')), { status: 2, stdout: '', stderr: `${stderr}\n` });
    });
  }
});

test('a fault of our own: one line, exit code 1, the stack with --verbose', () => {
  const brief = wp(fixture, 'bench', 'echo');
  assert.equal(brief.status, 1);
  assert.equal(brief.stderr, 'wp bench echo: unexpected error: of our own making (--verbose shows where)\n');
  const verbose = wp(fixture, 'bench', 'echo', '--verbose');
  assert.equal(verbose.status, 1);
  assert.match(verbose.stderr, /TypeError: of our own making\nwith a second line\n\s+at .*fixtures\/wp\.ts/);
});

test('--json: stdout is the result and nothing else', () => {
  const { status, stdout, stderr } = wp(
    fixture,
    'run',
    'echo',
    'a.jpg',
    'b.jpg',
    '--cost-weight',
    '2',
    '--no-compact',
    '--json',
  );
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(stdout), {
    positionals: ['a.jpg', 'b.jpg'],
    options: { costWeight: 2, rule: 'joint', compact: false },
    costs: [0.25, 1],
  });
  assert.equal(stderr, 'a warning\n');
  for (const args of [['list'], ['--help'], ['run', '--help'], ['run', 'echo', '--help'], ['--version']]) {
    assert.doesNotThrow(() => JSON.parse(wp(fixture, ...args, '--json').stdout), args.join(' '));
  }
});

test('for a person: lines and tables, and no bar where there is no terminal', () => {
  const { stdout, stderr } = wp(fixture, 'run', 'echo', '-c', '0', 'a.jpg');
  assert.equal(
    stdout,
    `options {"costWeight":0,"rule":"joint","compact":true}
photo    cost
-------  ----
cat.jpg  0.25
`,
  );
  assert.equal(stderr, 'a warning\n');
});

test('help follows from the specs', () => {
  const { status, stdout } = wp(fixture, 'run', 'echo', '--help');
  assert.equal(status, 0);
  assert.equal(
    stdout,
    `echo what it was given

Usage:
  wp run echo PHOTO [MORE...] [options]

Arguments:
  PHOTO    a picture
  MORE...  further pictures

Options:
  -c, --cost-weight NUMBER  price of computation (0 to 10; default 0.5)
      --rule STRING         when to stop (joint | alone; default joint)
      --out STRING          file for the result
      --no-compact          drop finished rows (on unless switched off)

Everywhere:
  -h, --help     show this help
      --json     print the result as JSON on stdout, everything else on stderr
      --verbose  show where an unexpected error came from

Examples:
  wp run echo cat.jpg
`,
  );
  assert.match(wp(fixture, 'run', '--help').stdout, /^Papers:\n {2}echo {2}ECHO: one thing.*\n\n/m);
  assert.equal(wp(fixture, 'help', 'run').stdout, wp(fixture, 'run', '--help').stdout);
  assert.equal(wp(fixture).stdout, wp(fixture, '--help').stdout);
});

test('list names every paper of the edition with its state', () => {
  const [edition] = JSON.parse(wp(real, 'list', '--json').stdout) as [
    { papers: { id: string; state: string }[] },
  ];
  assert.equal(edition.papers.length, 11);
  const text = wp(real, 'list').stdout;
  for (const { id, state } of edition.papers) assert.match(text, new RegExp(`^${id} +${state} `, 'm'));
});

test('Ctrl-C lets the command save and ends with 130, SIGTERM with 143', async () => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { child, output } = await started('train', 'echo');
    child.kill(signal);
    const [status] = await once(child, 'close');
    assert.equal(status, code);
    assert.deepEqual(output(), { stdout: 'started\nsaved\n', stderr: 'wp train echo: interrupted\n' });
  }
});

test('a second Ctrl-C ends a command that does not listen, but not when it is the same key press', async () => {
  const { child } = await started('train', 'echo', '--deaf');
  child.kill('SIGINT');
  await sleep(100);
  child.kill('SIGINT');
  await sleep(600);
  assert.equal(child.exitCode, null);
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'close'), [130, null]);
});

test('a reader that leaves early is no error', async () => {
  const child = spawn('bash', [
    '-c',
    `"$0" --conditions=source "$1" list --json | head -c 1; echo " \${PIPESTATUS[0]}"`,
    process.execPath,
    fixture,
  ]);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk));
  await once(child, 'close');
  assert.equal(text, '[ 0\n');
});

async function started(...args: readonly string[]) {
  const child: ChildProcess = spawn(process.execPath, ['--conditions=source', fixture, ...args]);
  let stdout = '';
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk));
  await new Promise<void>((resolve) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk;
      resolve();
    });
  });
  return { child, output: () => ({ stdout, stderr }) };
}
