import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDevice } from '@working-papers/tensor';
import { kittiSlowGraph } from '../../graph.ts';
import { MotFormer } from '../../model.ts';
import { trainMotFormer } from '../../train.ts';
import { windows } from '../../training-data.ts';
import { lanes } from '../lanes.ts';

const folder = await mkdtemp(join(tmpdir(), 'mot-webgpu-'));
after(() => rm(folder, { recursive: true }));

const steps = 50;

/** Losses of the first updates; tracks are the network's own, so that a difference would grow. */
async function curve(provider: 'cpu' | 'webgpu'): Promise<number[]> {
  await using device = await openDevice({ provider });
  const sequences = [lanes(28, 1), lanes(28, 2)].map((frames) =>
    frames.map((frame) => ({ ...frame, labelled: true })),
  );
  const losses: number[] = [];
  const controller = new AbortController();
  await trainMotFormer({
    device,
    model: new MotFormer({ nodeInputs: 13, width: 16, heads: 2, decoders: 1 }),
    sequences,
    windows: windows(sequences, 3),
    rollout: {
      graph: { ...kittiSlowGraph, maxNeighbours: 4 },
      classes: 3,
      width: 16,
    },
    seed: 1,
    epochs: 10,
    length: 3,
    batchSize: 4,
    folder: join(folder, provider),
    signal: controller.signal,
    onStep: (step, { loss }) => {
      losses.push(loss!);
      if (step >= steps) controller.abort();
    },
  });
  return losses.slice(0, steps);
}

test('fifty updates on a GPU give the losses that they give on the CPU', async () => {
  const [cpu, gpu] = [await curve('cpu'), await curve('webgpu')];
  assert.equal(gpu.length, steps);
  const apart = cpu.map((loss, i) => Math.abs(gpu[i]! - loss) / loss);
  assert.ok(Math.max(...apart) < 0.01, `${Math.max(...apart)} at ${apart.indexOf(Math.max(...apart))}`);
  const mean = (part: number[]) => part.reduce((a, b) => a + b) / part.length;
  assert.ok(mean(cpu.slice(-10)) < mean(cpu.slice(0, 10)), 'the losses fall');
});
