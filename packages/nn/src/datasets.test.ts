import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  DatasetError,
  type DatasetInfo,
  datasetInfo,
  datasets,
  downloadDataset,
  findDataset,
} from './datasets.ts';

const content = Buffer.alloc(300_000, 'text ');
const sha256 = createHash('sha256').update(content).digest('hex');

test('a download arrives whole, checked, and only once', async (t) => {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    if (request.url === '/good') response.setHeader('content-length', content.length).end(content);
    else if (request.url === '/broken') {
      response.setHeader('content-length', content.length);
      response.write(content.subarray(0, 1000), () => response.destroy());
    } else response.writeHead(404).end();
  });
  const folder = await mkdtemp(join(tmpdir(), 'datasets-'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const info = (path: string, sha256?: string): DatasetInfo => ({
    ...datasetInfo('cifar10'),
    download: { url: `${origin}${path}`, file: 'data.txt', ...(sha256 === undefined ? {} : { sha256 }) },
  });
  const path = join(folder, 'deep', 'data.txt');
  const options = { folder: join(folder, 'deep') };

  let last: [number, number | undefined] = [0, 0];
  const onProgress = (received: number, total: number | undefined) => {
    last = [received, total];
  };
  assert.deepEqual(await downloadDataset(info('/good', sha256), { ...options, onProgress }), {
    path,
    sha256,
  });
  assert.deepEqual(await readFile(path), content);
  assert.deepEqual(last, [content.length, content.length]);
  await downloadDataset(info('/good', sha256), options);
  assert.equal(requests, 1, 'what is there is not fetched again');

  await writeFile(path, 'old');
  const failures: [DatasetInfo, RegExp][] = [
    [info('/good', '0'.repeat(64)), new RegExp(`/good: sha256 is ${sha256}, expected 0000`)],
    [info('/absent', sha256), /\/absent: 404 Not Found/],
    [info('/broken', sha256), /\/broken: /],
    [
      { ...info('', sha256), download: { url: 'http://127.0.0.1:1/x', file: 'data.txt', sha256 } },
      /127.0.0.1:1\/x: /,
    ],
  ];
  for (const [bad, message] of failures) {
    await assert.rejects(downloadDataset(bad, options), (error: unknown) => {
      assert.ok(error instanceof DatasetError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  }
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.deepEqual(await readdir(options.folder), ['data.txt']);
});

test('every data set says where it is from and under which licence, and errors say what to do', async () => {
  for (const { name, homepage, licence, download, repackaged } of datasets) {
    assert.ok(homepage.startsWith('https://') && licence && (download ?? repackaged), name);
    assert.ok(!download || new URL(download.url).protocol === 'https:', name);
  }
  assert.throws(
    () => datasetInfo('mnist'),
    /unknown data set "mnist": expected one of cifar10, tiny-shakespeare/,
  );
  assert.throws(() => findDataset('kitti-tracking', '/nowhere'), {
    message:
      'no kitti-tracking.tar.gz in /nowhere: set WP_DATA to the folder that has it (data from https://www.cvlibs.net/datasets/kitti/eval_tracking.php)',
  });
  await assert.rejects(
    downloadDataset(datasetInfo('books')),
    /books has no single file at its origin: see https/,
  );
});
