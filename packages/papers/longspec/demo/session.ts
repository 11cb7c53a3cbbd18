/** A model on a device and the ways of guessing ahead that a reader chooses. Runs wherever the engine does. */

import { type CachedDecoder, openCachedDecoder } from '@working-papers/models/decoder/cached-decoder';
import {
  type LoadedDecoder,
  type ModelFiles,
  readDecoderFrom,
} from '@working-papers/models/decoder/model-files';
import { streamDecoder, type TextTokenizer } from '@working-papers/models/decoder/tokenizer';
import type { Device } from '@working-papers/tensor';
import { decode } from '../decode.ts';
import { draftName, readDraftFrom } from '../draft-reader.ts';
import type { Drafter } from '../drafter.ts';
import { openLongSpec } from '../longspec.ts';
import { magicDec } from '../magicdec.ts';
import { promptLookup } from '../prompt-lookup.ts';
import { vanilla } from '../vanilla.ts';
import {
  lanes,
  type ModelFacts,
  type Piece,
  type RunEvent,
  type RunRequest,
  type TreeView,
} from './protocol.ts';
import { type RaceRound, type Runner, race } from './race.ts';

/** All drafts that may lie beside a model. */
const trainings = [true, false].flatMap((anchorOffset) =>
  [true, false].map((noise) => ({ anchorOffset, noise })),
);

export interface Session {
  readonly facts: ModelFacts;
  /** Both decodings of a text to their ends. Throws what `signal` was aborted with. */
  run(request: RunRequest, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<void>;
}

/** Reads a model and compiles it. Throws errors that name the file or the key. */
export async function openSession(device: Device, files: ModelFiles): Promise<Session> {
  const loaded = await readDecoderFrom(files);
  const target = await openCachedDecoder({ device, model: loaded.model, weights: loaded.weights });
  const { config, tokenizer, endTokens } = loaded;
  const choose = chooser(device, files, loaded, target);
  return {
    facts: {
      name: files.folder,
      family: config.family,
      layers: config.numLayers,
      hiddenSize: config.hiddenSize,
      vocabSize: config.vocabSize,
      maxPositions: config.maxPositions,
      drafts: trainings.filter((training) => files.names.includes(draftName(training))),
    },
    async run(request, onEvent, signal) {
      const prompt = tokenizer.encode(request.text);
      const { maxNewTokens, temperature, seed } = request;
      const runners = [await choose(request), { target, drafter: vanilla }];
      const views = runners.map(() => describer(tokenizer, endTokens, prompt));
      const rounds = race({
        runners,
        prompt,
        maxNewTokens,
        temperature,
        seed,
        endTokens,
        signal,
        onPrefill: (done) => onEvent({ kind: 'prompt', done, total: prompt.length }),
      });
      for await (const round of rounds) onEvent(views[round.lane]!(round));
    },
  };
}

type Choice = Pick<RunRequest, 'guesser' | 'shape' | 'training' | 'hybrid'>;

/** Opens what is chosen, once as long as it is not changed; the first steps of new graphs are walked off the clock. */
function chooser(device: Device, files: ModelFiles, loaded: LoadedDecoder, target: CachedDecoder) {
  let open: { readonly key: string; readonly drafter: Drafter } | undefined;
  let masked: CachedDecoder | undefined;
  const openDrafter = async ({ guesser, shape, training }: Choice): Promise<Drafter> => {
    if (guesser === 'lookup') return promptLookup();
    if (guesser === 'magicdec') return magicDec({ target });
    const file = files.path(draftName(training));
    const { draft, weights } = await readDraftFrom(file, files.open, loaded.config);
    const { model, weights: targetWeights } = loaded;
    const parts = { device, target: model, targetWeights, draft, draftWeights: weights };
    return openLongSpec({ ...parts, ...(shape && { shape }) });
  };
  return async (choice: Choice): Promise<Runner> => {
    if (!choice.hybrid)
      masked ??= await openCachedDecoder({
        device,
        model: loaded.model,
        weights: loaded.weights,
        attention: 'masked',
      });
    const verifier = choice.hybrid ? target : masked!;
    const key = JSON.stringify([choice.guesser, choice.shape, choice.training, choice.hybrid]);
    if (open?.key !== key) {
      await open?.drafter.dispose();
      open = undefined;
      const drafter = await openDrafter(choice);
      open = { key, drafter };
      const few = { prompt: [0, 0, 0], maxNewTokens: 2 * (choice.shape?.length ?? 8) + 2 };
      for (const each of [
        { target: verifier, drafter },
        { target, drafter: vanilla },
      ])
        for await (const _ of decode({ ...each, ...few }));
    }
    return { target: verifier, drafter: open.drafter };
  };
}

/** Rounds as a reader sees them: a character of several tokens stands where its last token is. */
function describer(tokenizer: TextTokenizer, endTokens: readonly number[], prompt: readonly number[]) {
  const stream = streamDecoder(tokenizer);
  /** Single bytes of a character, and control characters, have no sign of their own. */
  const textOf = (id: number) => {
    const text = endTokens.includes(id) ? '■' : tokenizer.decode([id]);
    return text === '' || /\ufffd|[^\P{C}\n\t]/u.test(text) ? `#${id}` : text;
  };
  let last = prompt.at(-1);
  return ({ lane, tokens, tree, path, milliseconds }: RaceRound): RunEvent => {
    const pieces = tokens.map((id, i): Piece => {
      const text = endTokens.includes(id) ? stream.end() : stream.push(id);
      return { id, text, guessed: i < tokens.length - 1 };
    });
    const view: TreeView = {
      root: last === undefined ? '' : textOf(last),
      nodes: tree.tokens.map((id, i) => ({ text: textOf(id), parent: tree.parents[i]! })),
      path,
      own: textOf(tokens.at(-1)!),
    };
    last = tokens.at(-1);
    const hasTree = tree.tokens.length > 0;
    return { kind: 'round', lane: lanes[lane]!, pieces, milliseconds, ...(hasTree && { tree: view }) };
  };
}
