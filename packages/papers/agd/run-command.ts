/** `wp run agd`: pictures of a class, guided by adapters, or by all three methods side by side. */

import { join } from 'node:path';
import { defineCommand, type Output } from '@working-papers/paper';
import { deviceOptions, openChosenDevice } from '@working-papers/paper/device';
import type { Generation, Method } from './generate.ts';
import { defaultName, shippedNames } from './shipped.ts';

// The engine is loaded when the command runs, not when its help is shown.
const engine = async () => ({
  ...(await import('./generate.ts')),
  ...(await import('./weights-file.ts')),
  ...(await import('@working-papers/models/cifar10-files')),
  ...(await import('@working-papers/models/diffusion/samplers')),
  ...(await import('@working-papers/nn/cifar10-classes')),
  ...(await import('@working-papers/nn/images')),
  ...(await import('@working-papers/nn/images-node')),
  ...(await import('@working-papers/nn/pixel-text')),
  ...(await import('@working-papers/paper/files')),
  ...(await import('@working-papers/paper/pictures')),
});

const names: Readonly<Record<Method, string>> = {
  plain: 'no guidance',
  cfg: 'classifier-free guidance',
  agd: 'AGD',
};

export const runCommand = defineCommand({
  summary: 'draw pictures of a class, with guidance at the cost of none',
  options: {
    class: {
      type: 'string',
      default: 'horse',
      description: "what to draw: a CIFAR-10 class by name or number, several with commas, or 'all'",
    },
    scale: { type: 'number', min: 0, default: 3, description: 'ω: 1 is no guidance; trained from 1 to 6' },
    steps: { type: 'integer', min: 1, default: 32, description: 'steps of the sampler' },
    n: { type: 'integer', min: 1, default: 16, description: 'pictures' },
    seed: { type: 'integer', min: 0, default: 1, description: 'same seed, same pictures' },
    sampler: {
      type: 'string',
      choices: ['euler', 'heun', 'ddim', 'ddpm', 'dpm++2m', 'flow'],
      default: 'euler',
      description: 'adapters are trained along Euler',
    },
    method: {
      type: 'string',
      choices: ['agd', 'cfg', 'plain'],
      default: 'agd',
      description: 'adapters, classifier-free guidance, or the class alone',
    },
    compare: { type: 'boolean', description: 'all three side by side, from the same noise' },
    adapter: {
      type: 'string',
      choices: shippedNames,
      default: defaultName,
      description: 'which of those that ship; the last were trained on noised data, as a warning',
    },
    weights: {
      type: 'string',
      description: "adapters of your own: from 'wp train agd', or a .pt of the authors' release",
    },
    base: {
      type: 'string',
      description: "the frozen model: a file from 'wp train cifar10-teacher'; default the one that ships",
    },
    ...deviceOptions,
    out: {
      type: 'string',
      short: 'o',
      default: 'agd.png',
      description: 'a .png for one sheet; anything else is a folder, one file a picture',
    },
  },
  examples: [
    'wp run agd --class horse --scale 3 --out horses.png',
    'wp run agd --class all --n 20 --compare --out compare.png',
    'wp run agd --class cat,dog --n 8 --scale 4.5 --out pets',
  ],
  async execute({ options, output, signal }) {
    const wp = await engine();
    const { scale, steps, n, seed, out } = options;
    const classes =
      options.class === 'all' ? wp.cifar10Classes.map((_, i) => i) : wp.classLabels('class', options.class);
    const labels = Array.from({ length: n }, (_, i) => classes[i % classes.length]!);
    const asked: readonly Method[] = options.compare ? wp.methods : [options.method];
    const teacher = await wp.readTeacher(options.base);
    const adapters = asked.includes('agd')
      ? await wp.readAdapters(options.weights ?? wp.shippedAdapters(options.adapter), {
          tokens: teacher.model.network.posEmbed.shape[1] as number,
        })
      : undefined;
    await using device = await openChosenDevice(options);
    const generator = wp.openGenerator({ device, teacher, ...(adapters && { adapters }) });
    const found = new Map<Method, Generation>();
    try {
      for (const method of asked) {
        const given = { method, labels, scale };
        await generator.prepare(given);
        using bar = output.progress(names[method], steps);
        const sampler = wp.samplers[options.sampler];
        const onStep = ({ step }: { step: number }) => bar.update(step + 1);
        found.set(method, await generator.generate({ ...given, steps, seed, sampler, onStep, signal }));
      }
    } finally {
      await generator.dispose();
    }
    report(output, found);
    const columns = classes.length > 1 && classes.length <= 10 ? classes.length : Math.ceil(Math.sqrt(n));
    if (/\.png$/i.test(out)) {
      const sheets = [...found].map(([method, { pictures, calls, milliseconds }]) => {
        const sheet = wp.tile(pictures, { columns, scale: options.compare ? 2 : 3, gap: 3 });
        const lines = [names[method], `${calls} calls, ${(milliseconds / n).toFixed(1)} ms a picture`];
        return options.compare ? wp.caption(sheet, lines) : sheet;
      });
      await wp.writeFileWhole(out, await wp.encodePng(wp.beside(sheets, 24)));
      output.print(out);
    } else {
      for (const [method, { pictures }] of found)
        for (const [i, picture] of pictures.entries()) {
          const name = `${String(i).padStart(4, '0')}-${wp.cifar10Classes[labels[i]!]}.png`;
          const file = options.compare ? join(out, method, name) : join(out, name);
          await wp.writeFileWhole(file, await wp.encodePng(picture));
        }
      output.print(`${found.size * n} pictures in ${out}`);
    }
    output.result({
      out,
      labels,
      scale,
      steps,
      seed,
      sampler: options.sampler,
      device: options.device,
      methods: Object.fromEntries(
        [...found].map(([method, { calls, milliseconds }]) => [method, { calls, milliseconds }]),
      ),
    });
  },
});

function report(output: Output, found: ReadonlyMap<Method, Generation>): void {
  const count = [...found.values()][0]!.pictures.length;
  output.table(
    ['method', 'calls a picture', 'ms a picture', 'ms in all'],
    [...found].map(([method, { calls, milliseconds }]) => [
      names[method],
      calls,
      (milliseconds / count).toFixed(1),
      milliseconds.toFixed(0),
    ]),
  );
}
