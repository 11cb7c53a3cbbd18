/**
 * Where data comes from, where it lies, and how it gets there.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { writeAtomically } from './atomic.ts';

/** A file at the data's own origin. */
export interface Download {
  readonly url: string;
  readonly file: string;
  /** Of the origin's file; undefined where the origin makes the file on request, so that it may change. */
  readonly sha256?: string;
}

/** A data set: what it is, who says so, and where it comes from. */
export interface DatasetInfo {
  readonly name: string;
  readonly title: string;
  readonly homepage: string;
  readonly licence: string;
  /** Undefined where the origin has no single file to fetch. */
  readonly download?: Download;
  /** A repackaged form that is read as well where it lies in the data folder. */
  readonly repackaged?: { readonly file: string; readonly sha256?: string; readonly content: string };
}

/** All data sets that can be downloaded. */
export const datasets: readonly DatasetInfo[] = [
  {
    name: 'cifar10',
    title: 'CIFAR-10: 60,000 pictures of 32x32 pixels in 10 classes',
    homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
    licence:
      'no licence stated; cite A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009',
    download: {
      url: 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
      file: 'cifar-10-binary.tar.gz',
      sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
    },
    repackaged: {
      file: 'cifar10.tar.gz',
      sha256: 'c298e51bb14bced565f71813eca933ac588476d587748f2cc64e20c2167aa35d',
      content:
        'train/CLASS/NNNN.jpg and test/CLASS/NNNN.jpg: the same pictures as JPEG, so not the same pixels',
    },
  },
  {
    name: 'tiny-shakespeare',
    title: 'Tiny Shakespeare: 1.1 million characters of plays',
    homepage: 'https://github.com/karpathy/char-rnn',
    licence: 'public domain',
    download: {
      url: 'https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt',
      file: 'tiny-shakespeare.txt',
      sha256: '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
    },
  },
  {
    name: 'fsdd',
    title: 'Free Spoken Digit Dataset: 3,000 recordings of 6 speakers',
    homepage: 'https://github.com/Jakobovski/free-spoken-digit-dataset',
    licence: 'CC BY-SA 4.0',
    download: {
      url: 'https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz',
      file: 'free-spoken-digit-dataset-1.0.10.tar.gz',
    },
    repackaged: {
      file: 'fsdd.tar.gz',
      sha256: 'aebfe408075ee3c5136cac8eeecd91e8616c55e71bc5d86f022c3ad6e4834283',
      content: 'recordings/DIGIT_SPEAKER_TAKE.wav',
    },
  },
  {
    name: 'bccd',
    title: 'BCCD: 364 microscope images of blood cells with boxes',
    homepage: 'https://github.com/Shenggan/BCCD_Dataset',
    licence: 'MIT',
    repackaged: {
      file: 'bccd.tar.gz',
      sha256: 'ab33009cb2e0c8b653a583e76ca566627ef4562531d0e4ec967a1889e411a584',
      content: 'the BCCD folder of the repository',
    },
  },
  {
    name: 'kitti-tracking',
    title: 'KITTI tracking: labels, calibration, PointRCNN detections and camera poses of 21 sequences',
    homepage: 'https://www.cvlibs.net/datasets/kitti/eval_tracking.php',
    licence: 'CC BY-NC-SA 3.0',
    repackaged: {
      file: 'kitti-tracking.tar.gz',
      sha256: 'd6609bb14feb53f1f5da1f8b1934ec7f8dedfac2a5ea50874ec7bb86f0c65e6d',
      content: 'label_02, calib, detections (from AB3DMOT), poses (ORB-SLAM3), evaluate_tracking.seqmap.val',
    },
  },
  {
    name: 'books',
    title: '31 English novels in plain text',
    homepage: 'https://standardebooks.org',
    licence: 'CC0',
    repackaged: { file: 'books', content: 'one .txt a book, paragraphs split by an empty line' },
  },
];

/** Data is not there, or is not what it should be. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/** The dataset called `name`. Throws a DatasetError that lists the names. */
export function datasetInfo(name: string): DatasetInfo {
  const info = datasets.find((dataset) => dataset.name === name);
  if (info === undefined) {
    const names = datasets.map((dataset) => dataset.name).join(', ');
    throw new DatasetError(`unknown data set "${name}": expected one of ${names}`);
  }
  return info;
}

/** What may be deleted at any time: `WP_CACHE`, else `working-papers` in the user's cache folder. */
export function cacheFolder(): string {
  return (
    process.env.WP_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'working-papers')
  );
}

/** Where data sets lie: `WP_DATA`, else `data` in the cache folder. */
export function dataFolder(): string {
  return process.env.WP_DATA || join(cacheFolder(), 'data');
}

/** The path of a data set in `folder`, as downloaded or repackaged. Throws a DatasetError that says what to do. */
export function findDataset(name: string, folder = dataFolder()): string {
  const { download, repackaged, homepage } = datasetInfo(name);
  const files = [download?.file, repackaged?.file].filter((file) => file !== undefined);
  const found = files.map((file) => join(folder, file)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const get = download ? `, or run "wp data get ${name}"` : '';
  throw new DatasetError(
    `no ${files.join(' or ')} in ${folder}: set WP_DATA to the folder that has it${get} (data from ${homepage})`,
  );
}

/** Of `downloadDataset`. */
export interface DownloadOptions {
  readonly folder?: string;
  /** Bytes received, and in all where the server says so. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fetches a data set from its origin into the data folder, unless it is there already with the right checksum.
 * Returns the path and the sha256. Throws a DatasetError, and leaves no file, when the download or its checksum fails.
 */
export async function downloadDataset(
  info: DatasetInfo,
  { folder = dataFolder(), onProgress, signal }: DownloadOptions = {},
): Promise<{ path: string; sha256: string }> {
  const { download, name, homepage } = info;
  if (download === undefined)
    throw new DatasetError(`${name} has no single file at its origin: see ${homepage}`);
  const path = join(folder, download.file);
  if (existsSync(path)) {
    const sha256 = await sha256Of(path);
    if (download.sha256 === undefined || sha256 === download.sha256) return { path, sha256 };
  }
  await mkdir(folder, { recursive: true });
  let sha256 = '';
  async function* received(): AsyncGenerator<Uint8Array> {
    const response = await fetch(download!.url, { signal: signal ?? null });
    if (!response.ok || response.body === null) {
      throw new DatasetError(`${download!.url}: ${response.status} ${response.statusText}`);
    }
    const total = Number(response.headers.get('content-length')) || undefined;
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of response.body) {
      hash.update(chunk);
      bytes += chunk.length;
      onProgress?.(bytes, total);
      yield chunk;
    }
    sha256 = hash.digest('hex');
    if (download!.sha256 !== undefined && sha256 !== download!.sha256) {
      throw new DatasetError(`${download!.url}: sha256 is ${sha256}, expected ${download!.sha256}`);
    }
  }
  try {
    await writeAtomically(path, received());
  } catch (error) {
    const { cause, message } = error as Error;
    if (cause instanceof DatasetError) throw cause;
    const reason = cause instanceof TypeError ? `${download.url}: ${fetchReason(cause)}` : message;
    throw new DatasetError(reason, { cause: error });
  }
  return { path, sha256 };
}

/** `fetch` says "fetch failed" and hides why in the cause. */
function fetchReason(error: Error): string {
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
