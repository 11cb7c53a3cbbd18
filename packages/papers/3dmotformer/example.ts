import { KalmanTracker, kittiKalman } from '@working-papers/3dmotformer';
import { street } from '@working-papers/3dmotformer/simulate';

const tracker = new KalmanTracker(kittiKalman.Car);
for (const [frame, { detections, pose }] of street({ frames: 50, seed: 1 }).entries()) {
  const cars = detections.filter(({ type }) => type === 'Car');
  const tracks = tracker.step(cars, pose);
  console.log(frame, tracks.map(({ id, x, z }) => `${id}: ${x.toFixed(1)}, ${z.toFixed(1)}`).join('; '));
}
