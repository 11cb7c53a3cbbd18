import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { drafterOptions, modelOptions } from '@working-papers/longspec/options';
import { defineCommand } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('@working-papers/longspec/server')),
  ...(await import('@working-papers/longspec/text-model')),
});

export const serveModel = defineCommand({
  summary: 'serve a language model to clients of OpenAI’s completions and chat completions',
  options: {
    ...modelOptions,
    ...drafterOptions,
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
    await using device = await openChosenDevice(options);
    await using model = await wp.openTextModel({ device, folder, draft, method, shape: options.tree });
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
