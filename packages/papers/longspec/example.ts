import { generate } from '@working-papers/longspec/generate';
import { openTextModel, shippedFolder } from '@working-papers/longspec/text-model';
import { openDevice } from '@working-papers/tensor';

await using device = await openDevice();
await using model = await openTextModel({ device, folder: shippedFolder, method: 'longspec' });

const asked = { prompt: 'It was a dark and stormy night;', maxNewTokens: 120, temperature: 0.8, seed: 7 };
for await (const { text } of generate(model, { ...asked, signal: AbortSignal.timeout(60_000) }))
  process.stdout.write(text);
