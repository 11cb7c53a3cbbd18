/**
 * CIFAR-10 (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009), from its own binary
 * archive or from one of JPEG files.
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ndarray } from '@working-papers/tensor/array';
import { cifar10Classes, cifar10Size } from './cifar10-classes.ts';
import { randomSplit } from './data.ts';
import { cacheFolder, DatasetError, findDataset } from './datasets.ts';
import { fromPlanes, type RgbImage, toPlanes } from './images.ts';
import { decodeImage } from './images-node.ts';
import { readSafetensors, writeSafetensors } from './safetensors-file.ts';
import { readTarGz, type TarEntry } from './tar.ts';

export { cifar10Classes, cifar10Size };

const imageBytes = 3 * cifar10Size ** 2;

/** Pictures and labels in the order of the archive's sorted names. */
export class Cifar10Split {
  /** (N, 3, 32, 32): the red, green and blue plane of each picture. */
  readonly images: Uint8Array;
  /** N indices into `cifar10Classes`. */
  readonly labels: Uint8Array;

  constructor(images: Uint8Array, labels: Uint8Array) {
    this.images = images;
    this.labels = labels;
  }

  get length(): number {
    return this.labels.length;
  }

  image(index: number): RgbImage {
    return fromPlanes(
      this.images.subarray(index * imageBytes, (index + 1) * imageBytes),
      cifar10Size,
      cifar10Size,
    );
  }
}

/** The 50,000 pictures to train on and the 10,000 to test on. */
export interface Cifar10 {
  readonly train: Cifar10Split;
  readonly test: Cifar10Split;
}

/** Of `loadCifar10`. */
export interface Cifar10Options {
  /** Where the archive lies; `WP_DATA` by default. */
  readonly folder?: string;
  /** Where the decoded pictures are kept, 184 MB in one file, for the next time. */
  readonly cache?: string;
  /** Pictures decoded so far, of 60,000. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The data set, from the cache when that was made from the archive as it is now (same size and time).
 * Throws a DatasetError in one line when the archive is missing or is not CIFAR-10.
 */
export async function loadCifar10(options: Cifar10Options = {}): Promise<Cifar10> {
  const archive = findDataset('cifar10', options.folder);
  const { size, mtimeMs } = await stat(archive);
  const source = `${archive} ${size} ${mtimeMs}`;
  const folder = options.cache ?? cacheFolder();
  const cached = join(folder, 'cifar10.safetensors');
  const kept = await readCache(cached, source);
  if (kept !== undefined) return kept;

  const onProgress = options.onProgress ?? (() => {});
  const binary = archive.endsWith('-binary.tar.gz');
  const { train, test } = await (binary ? readBinary(archive, onProgress) : readJpegs(archive, onProgress));
  for (const split of [train, test]) {
    if (split.length === 0) throw new DatasetError(`${archive}: train or test pictures are missing`);
  }
  const arrays = Object.entries({ train, test }).flatMap(([name, { images, labels, length }]) => [
    [`${name}.images`, ndarray(images, [length, 3, cifar10Size, cifar10Size], 'uint8')] as const,
    [`${name}.labels`, ndarray(labels, [length], 'uint8')] as const,
  ]);
  try {
    await mkdir(folder, { recursive: true });
    await writeSafetensors(cached, new Map(arrays), { metadata: { source } });
  } catch (error) {
    process.emitWarning(`CIFAR-10 will be decoded again next time: ${(error as Error).message}`);
  }
  return { train, test };
}

/** The training pictures' indices in two: those to train on and `validation` others, by seed. */
export function splitCifar10(
  length: number,
  validation = 5000,
  seed = 42,
): { train: Uint32Array; validation: Uint32Array } {
  const [train, held] = randomSplit(length, [length - validation, validation], seed);
  return { train: train!, validation: held! };
}

/** A cache that is missing, damaged or made from another archive is no cache. */
async function readCache(path: string, source: string): Promise<Cifar10 | undefined> {
  try {
    const { tensors, metadata } = await readSafetensors(path);
    if (metadata.source !== source) return undefined;
    const bytes = (name: string) => tensors.get(name)!.data as Uint8Array;
    const split = (name: string) => new Cifar10Split(bytes(`${name}.images`), bytes(`${name}.labels`));
    return { train: split('train'), test: split('test') };
  } catch {
    return undefined;
  }
}

type Progress = (done: number, total: number) => void;
const total = 60_000;

interface Picture {
  readonly name: string;
  readonly split: string;
  readonly label: number;
  readonly planes: Uint8Array;
}

/** `SPLIT/CLASS/NAME.jpg`, decoded 64 at a time. */
async function readJpegs(archive: string, onProgress: Progress): Promise<Cifar10> {
  const pictures: Picture[] = [];
  let waiting: TarEntry[] = [];
  const decodeWaiting = async () => {
    const decoded = await Promise.all(waiting.map((entry) => decodePicture(archive, entry)));
    onProgress(pictures.push(...decoded), total);
    waiting = [];
  };
  for await (const entry of readTarGz(archive)) {
    if (!jpegName.test(entry.name)) continue;
    waiting.push(entry);
    if (waiting.length === 64) await decodeWaiting();
  }
  await decodeWaiting();
  pictures.sort((a, b) => (a.name < b.name ? -1 : 1));
  const collect = (split: string) => {
    const mine = pictures.filter((picture) => picture.split === split);
    const images = new Uint8Array(mine.length * imageBytes);
    mine.forEach(({ planes }, i) => {
      images.set(planes, i * imageBytes);
    });
    return new Cifar10Split(
      images,
      Uint8Array.from(mine, ({ label }) => label),
    );
  };
  return { train: collect('train'), test: collect('test') };
}

const jpegName = /^(?:\.\/)?(train|test)\/([^/]+)\/[^/.][^/]*\.jpg$/;

async function decodePicture(archive: string, { name, bytes }: TarEntry): Promise<Picture> {
  const [, split, className] = jpegName.exec(name)!;
  const label = (cifar10Classes as readonly string[]).indexOf(className!);
  if (label < 0) throw new DatasetError(`${archive}: ${name}: class "${className}" is not one of CIFAR-10's`);
  const image = await decodeImage(bytes, `${archive}: ${name}`);
  if (image.width !== cifar10Size || image.height !== cifar10Size) {
    throw new DatasetError(`${archive}: ${name} is ${image.width}x${image.height}, expected 32x32`);
  }
  return { name, split: split!, label, planes: toPlanes(image) };
}

/** `data_batch_1..5.bin` and `test_batch.bin`: records of a label byte and 3,072 bytes of planes. */
async function readBinary(archive: string, onProgress: Progress): Promise<Cifar10> {
  const batches = new Map<string, Cifar10Split>();
  let done = 0;
  for await (const { name, bytes } of readTarGz(archive)) {
    const [, batch] = /(?:^|\/)(data_batch_[1-5]|test_batch)\.bin$/.exec(name) ?? [];
    if (batch === undefined) continue;
    const length = bytes.length / (1 + imageBytes);
    if (!Number.isInteger(length)) {
      throw new DatasetError(
        `${archive}: ${name} has ${bytes.length} bytes, expected a multiple of ${1 + imageBytes}`,
      );
    }
    const images = new Uint8Array(length * imageBytes);
    const labels = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const record = bytes.subarray(i * (1 + imageBytes), (i + 1) * (1 + imageBytes));
      if (record[0]! > 9)
        throw new DatasetError(`${archive}: ${name}: label ${record[0]} of picture ${i} is above 9`);
      labels[i] = record[0]!;
      images.set(record.subarray(1), i * imageBytes);
    }
    batches.set(batch, new Cifar10Split(images, labels));
    done += length;
    onProgress(done, total);
  }
  const collect = (prefix: string) => {
    const names = [...batches.keys()].filter((name) => name.startsWith(prefix)).sort();
    const mine = names.map((name) => batches.get(name)!);
    return new Cifar10Split(
      new Uint8Array(Buffer.concat(mine.map(({ images }) => images))),
      new Uint8Array(Buffer.concat(mine.map(({ labels }) => labels))),
    );
  };
  return { train: collect('data'), test: collect('test') };
}
