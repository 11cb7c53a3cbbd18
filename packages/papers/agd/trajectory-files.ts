/**
 * Trajectories on disk, in the folder layout of the authors' release: `timesteps.pt`, `latent_shape.pt` and for each
 * trajectory `NNNNNN/conditioning.pt` and `NNNNNN/trajectory.npy`, halves without a header in spite of its name, of
 * shape (T, 2 or 3, C, H, W): input, answer and, where it is learned, variance. Ours have `sigmas.pt` besides. Node only.
 */

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { linearAlphaBars, sigmaOfAlphaBar } from '@working-papers/models/diffusion/levels';
import { decodeTorch, encodeTorch, type TorchValue } from '@working-papers/nn/torch-file';
import { type NdArray, ndarray, toNumbers } from '@working-papers/tensor';
import { sizeOf } from '@working-papers/tensor/array';
import { Trajectories } from './trajectories.ts';

/** A folder is no set of trajectories, or is damaged; the message names the file. */
export class TrajectoryError extends Error {
  override readonly name = 'TrajectoryError';
}

const folderOf = (n: number) => String(n).padStart(6, '0');

/** Writes a set into a folder, which may hold nothing else. */
export async function writeTrajectories(
  folder: string,
  set: Trajectories,
  onProgress?: (trajectories: number) => void,
): Promise<void> {
  const { sigmas, levels, shape, parts, labels, scales, inputs, targets } = set.data;
  if (existsSync(folder) && (await readdir(folder)).length > 0)
    throw new TrajectoryError(`${folder} is not empty`);
  await mkdir(folder, { recursive: true });
  const numbers = (values: readonly number[]) => ndarray(values, [values.length], 'float64');
  await writeFile(join(folder, 'timesteps.pt'), encodeTorch(numbers(levels)));
  await writeFile(join(folder, 'sigmas.pt'), encodeTorch(numbers(sigmas)));
  await writeFile(join(folder, 'latent_shape.pt'), encodeTorch([...shape]));
  const size = sizeOf(shape);
  for (let n = 0; n < set.count; n++) {
    const own = join(folder, folderOf(n));
    await mkdir(own);
    const condition = new Map<string, TorchValue>([
      ['class_label', labels[n]!],
      ['cfg_scale', scales[n]!],
    ]);
    await writeFile(join(own, 'conditioning.pt'), encodeTorch(condition));
    const all = new Uint16Array(set.steps * (1 + parts) * size);
    for (let step = 0; step < set.steps; step++) {
      const at = step * (1 + parts) * size;
      const point = n * set.steps + step;
      all.set(inputs.subarray(point * size, (point + 1) * size), at);
      all.set(targets.subarray(point * parts * size, (point + 1) * parts * size), at + size);
    }
    await writeFile(join(own, 'trajectory.npy'), all);
    onProgress?.(n + 1);
  }
}

export interface ReadOptions {
  /**
   * The network's numbers for the steps instead of those stored. The release stores the indices of the steps where it
   * samples in fewer than 1000, which are not what the network was asked.
   */
  readonly levels?: readonly number[];
  readonly onProgress?: (trajectories: number) => void;
}

/** Reads such a folder. Throws a TrajectoryError that names the file that is missing or wrong. */
export async function readTrajectories(folder: string, options: ReadOptions = {}): Promise<Trajectories> {
  if (!existsSync(join(folder, 'timesteps.pt')))
    throw new TrajectoryError(`${folder} holds no trajectories: there is no timesteps.pt`);
  const load = async (path: string) => decodeTorch(await readFile(path), path);
  const list = async (name: string) => numbersOf(await load(join(folder, name)), join(folder, name));
  const stored = await list('timesteps.pt');
  const levels = options.levels ?? stored;
  const shape = await list('latent_shape.pt');
  if (shape.length !== 3 || shape.some((size) => !(Number.isInteger(size) && size > 0)))
    throw new TrajectoryError(`${join(folder, 'latent_shape.pt')} holds [${shape}], expected C, H and W`);
  if (levels.length !== stored.length)
    throw new TrajectoryError(`${levels.length} numbers for ${stored.length} steps`);
  const alphaBars = linearAlphaBars();
  const sigmas = existsSync(join(folder, 'sigmas.pt'))
    ? await list('sigmas.pt')
    : levels.map((t) => sigmaOfAlphaBar(alphaBars[t] ?? Number.NaN));
  const names = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).sort();
  if (names.length === 0) throw new TrajectoryError(`${folder} holds no trajectories`);
  const size = sizeOf(shape);
  const steps = levels.length;
  const [labels, scales]: [number[], number[]] = [[], []];
  const inputs = new Uint16Array(names.length * steps * size);
  let targets = new Uint16Array(0);
  let parts: 1 | 2 | undefined;
  for (const [n, name] of names.entries()) {
    const path = join(folder, name, 'conditioning.pt');
    const condition = await load(path);
    const field = (key: string) => {
      const value = condition instanceof Map ? (condition as Map<string, TorchValue>).get(key) : undefined;
      const [number] = value === undefined ? [] : numbersOf(value, path);
      if (number === undefined || !(number >= 0)) throw new TrajectoryError(`${path}: '${key}' is ${number}`);
      return number;
    };
    labels.push(field('class_label'));
    scales.push(field('cfg_scale'));
    const file = join(folder, name, 'trajectory.npy');
    const bytes = await readFile(file);
    const found = bytes.length / (2 * steps * size) - 1;
    if (found !== (parts ?? found) || (found !== 1 && found !== 2)) {
      const whole = (each: number) => 2 * steps * (1 + each) * size;
      const expected = parts ? `${whole(parts)}` : `${whole(1)} or ${whole(2)}`;
      throw new TrajectoryError(`${file} has ${bytes.length} bytes, expected ${expected}`);
    }
    parts = found;
    if (targets.length === 0) targets = new Uint16Array(parts * inputs.length);
    const all = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    for (let step = 0; step < steps; step++) {
      const at = step * (1 + parts) * size;
      const point = n * steps + step;
      inputs.set(all.subarray(at, at + size), point * size);
      targets.set(all.subarray(at + size, at + (1 + parts) * size), point * parts * size);
    }
    options.onProgress?.(n + 1);
  }
  const [channels, height, width] = shape as [number, number, number];
  return new Trajectories({
    sigmas,
    levels,
    shape: [channels, height, width],
    parts: parts!,
    labels,
    scales,
    inputs,
    targets,
  });
}

function numbersOf(value: TorchValue, path: string): number[] {
  if (typeof value === 'number') return [value];
  if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value;
  if (typeof value === 'object' && value !== null && 'data' in value) return toNumbers(value as NdArray);
  throw new TrajectoryError(`${path} does not hold numbers`);
}
