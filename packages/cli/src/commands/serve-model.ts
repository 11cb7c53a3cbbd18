import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { defineCommand } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('@working-papers/longspec/server')),
  ...(await import('@working-papers/longspec/text-model')),
  ...(await import('@working-papers/longspec/tree')),
});

export const serveModel = defineCommand({
  summary: 'serve a language model to clients of OpenAI’s completions and chat completions',
  options: {
    model: { type: 'string', description: 'folder of a Hugging Face model; default the one that ships' },
    draft: { type: 'string', description: "a draft for it; default draft.safetensors in the model's folder" },
    method: {
      type: 'string',
      choices: ['longspec', 'chain', 'lookup', 'magicdec', 'vanilla'],
      default: 'longspec',
      description: 'what guesses ahead; the text is the same with each',
    },
    tree: { type: 'string', default: '2,2,2,1', description: 'nodes on each level of the tree of guesses' },
    port: { type: 'integer', min: 0, max: 65535, default: 8000, description: 'port, 0 for any free one' },
    host: { type: 'string', default: '127.0.0.1', description: 'address to listen on' },
    ...deviceOptions,
  },
  examples: [
    'wp serve-model --model ./my-llama --method lookup',
    'wp serve-model --model ./my-llama --draft draft.safetensors --port 8080',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { model: folder = wp.shippedFolder, draft, method, host } = options;
    const shape = wp.parseShape(options.tree);
    await using device = await openChosenDevice(options);
    await using model = await wp.openTextModel({ device, folder, draft, method, shape });
    const server = wp.createModelServer({ model, log: (line) => output.print(line) });
    server.listen(options.port, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    output.print(`${model.name} on http://${host}:${port}/v1`);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    server.closeAllConnections();
    server.close();
  },
});
