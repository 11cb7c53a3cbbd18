/** `wp run 3dmotformer`: identities for detections, file by file or line by line. */

import { createReadStream, existsSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { defineCommand, type Output, UserError } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';
import type { FrameTracker } from './frame-tracker.ts';
import type { KittiDetection, Pose } from './kitti.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('./frame-tracker.ts')),
  ...(await import('./kitti.ts')),
  ...(await import('./nuscenes.ts')),
  ...(await import('./nuscenes-kalman.ts')),
  ...(await import('./simulate.ts')),
  ...(await import('./stream.ts')),
  ...(await import('./track.ts')),
  ...(await import('./weights-file.ts')),
  ...(await import('@working-papers/paper/files')),
});
type Engine = Awaited<ReturnType<typeof engine>>;

export const runCommand = defineCommand({
  summary: 'give detections in space identities that last, from files or from a stream',
  options: {
    format: {
      type: 'string',
      choices: ['kitti', 'nuscenes'],
      default: 'kitti',
      description: "KITTI's text files, or nuScenes' submissions (JSON), which need --samples",
    },
    samples: {
      type: 'string',
      description: "nuScenes' sample.json: which samples are a scene, and in what order",
    },
    detections: {
      type: 'string',
      description:
        'a file of detections as published with AB3DMOT (15 columns), or a folder of them; without one, a simulated street',
    },
    poses: {
      type: 'string',
      description: "the camera's poses, 12 numbers a frame: a file, or a folder with the same names",
    },
    method: {
      type: 'string',
      choices: ['network', 'kalman'],
      default: 'network',
      description: '3DMOTFormer, or the Kalman filter after AB3DMOT',
    },
    weights: {
      type: 'string',
      description: "a file from 'wp train 3dmotformer'; default the one that ships",
    },
    hertz: {
      type: 'string',
      choices: ['2', '10'],
      default: '10',
      description: "frames a second, for the weights that ship: KITTI's own 10, or every fifth of them",
    },
    minHits: {
      type: 'integer',
      min: 1,
      default: 1,
      description: 'frames before a track of the network is told',
    },
    coast: {
      type: 'integer',
      min: 0,
      max: 2,
      default: 0,
      description: 'frames for which a track of the network is told while it is not seen',
    },
    stream: {
      type: 'boolean',
      description:
        'frames from standard input, a line of JSON each: {"frame": 0, "detections": [...], "pose": [...]}',
    },
    out: {
      type: 'string',
      short: 'o',
      description: "a folder for results in KITTI's format, a file a sequence",
    },
    ...deviceOptions,
  },
  examples: [
    'wp run 3dmotformer --detections pointrcnn_Car/0001.txt --poses poses/0001.txt --out tracks',
    'wp run 3dmotformer --method kalman --detections detections --out tracks',
    'wp run 3dmotformer --format nuscenes --detections detections.json --samples sample.json --out tracks',
    'my-detector | wp run 3dmotformer --stream',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { method, minHits, coast, out, format } = options;
    if (format === 'nuscenes') {
      await submission(wp, options, output, signal);
      return;
    }
    if (method === 'kalman') {
      await (options.stream ? stream : files)(wp, () => wp.kalmanFrames(), options, output, signal);
      return;
    }
    const {
      model,
      weights,
      options: own,
    } = await wp.readMotFormer(options.weights ?? wp.shippedMotFormer(options.hertz === '2' ? 2 : 10));
    await using device = await openChosenDevice(options);
    const { graph, classes } = own;
    const compiled = await wp.compileMotFormer({ device, model, weights, graph, classes: classes.length });
    try {
      const open = () => wp.worldFrames(compiled.open(), { minHits, coast, interval: graph.interval });
      await (options.stream ? stream : files)(wp, open, { ...options, out }, output, signal);
    } finally {
      await compiled.dispose();
    }
  },
});

interface Given {
  readonly detections: string | undefined;
  readonly poses: string | undefined;
  readonly method: string;
  readonly out: string | undefined;
}

/** A sequence's frames. */
interface Sequence {
  readonly name: string;
  readonly frames: readonly (readonly KittiDetection[])[];
  readonly poses?: readonly Pose[];
}

async function sequences(wp: Engine, { detections, poses }: Given): Promise<Sequence[]> {
  if (detections === undefined) {
    const simulated = wp.street({ frames: 100, seed: 1 });
    return [
      {
        name: 'street',
        frames: simulated.map((frame) => frame.detections),
        poses: simulated.map(({ pose }) => pose),
      },
    ];
  }
  const text = async (path: string) => {
    if (!existsSync(path)) throw new UserError(`'${path}': no such file or folder`);
    return readFile(path, 'utf8');
  };
  const isFolder = (path: string) => existsSync(path) && statSync(path).isDirectory();
  const names = isFolder(detections)
    ? (await readdir(detections)).filter((name) => name.endsWith('.txt')).sort()
    : [basename(detections)];
  if (names.length === 0) throw new UserError(`'${detections}' has no .txt in it`);
  return Promise.all(
    names.map(async (name) => {
      const path = isFolder(detections) ? join(detections, name) : detections;
      const frames = wp.parseDetections(await text(path), path);
      if (poses === undefined) return { name, frames };
      const posePath = isFolder(poses) ? join(poses, name) : poses;
      const own = wp.parsePoses(await text(posePath), posePath);
      if (own.length < frames.length)
        throw new UserError(`${posePath} has ${own.length} poses for ${frames.length} frames`);
      return { name, frames, poses: own };
    }),
  );
}

async function files(
  wp: Engine,
  open: () => FrameTracker,
  given: Given,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const all = await sequences(wp, given);
  const total = all.reduce((sum, { frames }) => sum + frames.length, 0);
  using bar = output.progress('tracking', total);
  const summary: { sequence: string; frames: number; detections: number; tracks: number }[] = [];
  let [done, milliseconds] = [0, 0];
  for (const { name, frames, poses } of all) {
    const tracker = open();
    const lines: string[] = [];
    const ids = new Set<number>();
    for (const [frame, detections] of frames.entries()) {
      signal.throwIfAborted();
      const start = performance.now();
      const tracks = await tracker.step(frame, detections, poses?.[frame]);
      milliseconds += performance.now() - start;
      for (const track of tracks) {
        ids.add(track.id);
        lines.push(wp.formatTrack(track, track.alpha));
      }
      bar.update(++done);
    }
    const file = name.replace(/(\.txt)?$/, '.txt');
    if (given.out !== undefined) await wp.writeFileWhole(join(given.out, file), `${lines.join('\n')}\n`);
    const seen = frames.reduce((sum, frame) => sum + frame.length, 0);
    summary.push({ sequence: name, frames: frames.length, detections: seen, tracks: ids.size });
  }
  bar.end();
  output.table(
    ['sequence', 'frames', 'detections', 'tracks'],
    summary.map(({ sequence, frames, detections, tracks }) => [sequence, frames, detections, tracks]),
  );
  const rate = (1000 * total) / milliseconds;
  output.print(
    `\n${rate.toFixed(0)} frames a second${given.out === undefined ? '; --out FOLDER keeps the tracks' : `; tracks in ${given.out}`}`,
  );
  output.result({
    method: given.method,
    framesPerSecond: rate,
    sequences: summary,
    ...(given.out !== undefined && { out: given.out }),
  });
}

interface Submission extends Given {
  readonly samples: string | undefined;
  readonly weights: string | undefined;
  readonly device: 'cpu' | 'webgpu' | 'cuda';
  readonly threads: number | undefined;
}

/** nuScenes: scene by scene, all classes at once. */
async function submission(wp: Engine, given: Submission, output: Output, signal: AbortSignal): Promise<void> {
  const { detections, samples, method, out } = given;
  if (detections === undefined || samples === undefined)
    throw new UserError('--format nuscenes needs --detections and --samples, two files of JSON');
  const text = async (path: string) => {
    if (!existsSync(path)) throw new UserError(`'${path}': no such file`);
    return readFile(path, 'utf8');
  };
  const boxes = wp.parseNuscenes(await text(detections), detections);
  const scenes = wp.scenesOf(JSON.parse(await text(samples)), samples);
  const asked = scenes
    .map((scene) => scene.filter(({ token }) => boxes.has(token)))
    .filter(({ length }) => length > 0);
  if (asked.length === 0) throw new UserError(`no sample of ${detections} is in ${samples}`);
  const network = method === 'network' ? await wp.readMotFormer(given.weights) : undefined;
  const known = network?.options.classes.join(', ') ?? '';
  if (network && known !== wp.nuscenesKinds.join(', '))
    throw new UserError(
      `these weights know ${known}, nuScenes has ${wp.nuscenesKinds.join(', ')}: name others with --weights, or take --method kalman`,
    );
  await using device = await openChosenDevice(given);
  const compiled =
    network &&
    (await wp.compileMotFormer({
      device,
      ...network,
      graph: network.options.graph,
      classes: network.options.classes.length,
    }));
  const total = asked.reduce((sum, scene) => sum + scene.length, 0);
  using bar = output.progress('tracking', total);
  const entries = new Map<string, ReturnType<Engine['trackEntry']>[]>();
  let [done, milliseconds, identities] = [0, 0, 0];
  for (const [n, scene] of asked.entries()) {
    const tracker = compiled ? compiled.open<import('./nuscenes.ts').NuscenesSeen>() : wp.kalmanScene();
    const ids = new Set<number>();
    for (const { token } of scene) {
      signal.throwIfAborted();
      const start = performance.now();
      const tracks = await tracker.step(boxes.get(token)!);
      milliseconds += performance.now() - start;
      for (const { id } of tracks) ids.add(id);
      entries.set(
        token,
        tracks.map((track) => wp.trackEntry(token, n, track)),
      );
      bar.update(++done);
    }
    identities += ids.size;
  }
  bar.end();
  await compiled?.dispose();
  const file = out === undefined ? undefined : out.endsWith('.json') ? out : join(out, 'tracks.json');
  if (file !== undefined) await wp.writeFileWhole(file, wp.formatNuscenes(entries));
  const rate = (1000 * total) / milliseconds;
  output.print(
    `${asked.length} scenes, ${total} samples, ${identities} tracks, ${rate.toFixed(0)} samples a second`,
  );
  if (file !== undefined) output.print(file);
  output.result({
    method,
    framesPerSecond: rate,
    scenes: asked.length,
    samples: total,
    tracks: identities,
    ...(file !== undefined && { out: file }),
  });
}

/** Lines in, lines out; what is wrong goes to standard error, and tracking goes on. */
async function stream(
  wp: Engine,
  open: () => FrameTracker,
  given: Given,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const tracker = open();
  const lines = createInterface({
    input: createReadStream('', { fd: 0 }),
    crlfDelay: Number.POSITIVE_INFINITY,
  });
  let [number, wrong, frames, milliseconds, last] = [0, 0, 0, 0, -1];
  for await (const line of lines) {
    signal.throwIfAborted();
    number++;
    if (line.trim() === '') continue;
    try {
      const { frame, detections, pose } = wp.parseFrame(line, last);
      last = frame;
      const start = performance.now();
      const tracks = await tracker.step(frame, detections, pose);
      milliseconds += performance.now() - start;
      frames++;
      const told = tracks.map(({ id, type, x, y, z, length, width, height, ry, score }) => ({
        ...{ id, type, x, y, z, length, width, height, ry, score },
      }));
      process.stdout.write(`${JSON.stringify({ frame, tracks: told })}\n`);
    } catch (error) {
      if (!(error instanceof wp.LineError)) throw error;
      wrong++;
      output.warn(`line ${number}: ${error.message}`);
    }
  }
  const rate = milliseconds === 0 ? 0 : (1000 * frames) / milliseconds;
  output.warn(`${frames} frames, ${rate.toFixed(0)} a second (${given.method})`);
  if (wrong > 0) throw new UserError(`${wrong} of ${number} lines were wrong; the others are tracked`);
}
