import { worldFrames } from '@working-papers/3dmotformer/frame-tracker';
import { street } from '@working-papers/3dmotformer/simulate';
import { compileMotFormer } from '@working-papers/3dmotformer/track';
import { readMotFormer } from '@working-papers/3dmotformer/weights-file';
import { openDevice } from '@working-papers/tensor';

await using device = await openDevice();
const { model, weights, options } = await readMotFormer();
const { graph, classes } = options;
const compiled = await compileMotFormer({ device, model, weights, graph, classes: classes.length });
const tracker = worldFrames(compiled.open());
for (const [frame, { detections, pose }] of street({ frames: 50, seed: 1, interval: 0.5 }).entries()) {
  const tracks = await tracker.step(frame, detections, pose);
  console.log(frame, tracks.map(({ id, x, z }) => `${id}: ${x.toFixed(1)}, ${z.toFixed(1)}`).join('; '));
}
