import { openClassifier } from '@working-papers/jei-dnn';
import { readWeights } from '@working-papers/jei-dnn/weights-file';
import { readImage } from '@working-papers/nn/images-node';
import { openDevice } from '@working-papers/tensor';

await using device = await openDevice();
const classifier = await openClassifier({ device, weights: await readWeights(), costWeight: 0.5 });

const photos = await Promise.all(['cat.jpg', 'ship.jpg'].map(readImage));
for (const { className, exit, cost } of await classifier.classify(photos)) {
  console.log(`${className}, known at exit ${exit + 1}, for ${(100 * cost).toFixed()} % of the network`);
}
