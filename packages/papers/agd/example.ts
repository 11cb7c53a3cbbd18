import { openGenerator } from '@working-papers/agd/generate';
import { readAdapters, shippedAdapters } from '@working-papers/agd/weights-file';
import { readTeacher } from '@working-papers/models/cifar10-files';
import { openDevice } from '@working-papers/tensor';

await using device = await openDevice();
const [teacher, adapters] = [await readTeacher(), await readAdapters(shippedAdapters())];
const generator = openGenerator({ device, teacher, adapters });

const labels = [7, 7, 3, 8]; // two horses, a cat, a ship, each with a guidance scale of its own
const { pictures, calls } = await generator.generate({ method: 'agd', labels, scale: [1, 4, 3, 3], seed: 1 });
console.log(`${pictures.length} pictures of ${pictures[0]!.width} pixels, ${calls} calls each`);
await generator.dispose();
