/** Other ways to write a word: abbreviations of the field, spellings on either side of the Atlantic, hyphens. */

/** What an abbreviation stands for, the usual reading first. Only those that every reader of the field knows. */
const abbreviations: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    asr: ['speech recognition'],
    cfg: ['classifier free guidance'],
    cnn: ['convolutional neural network', 'convolutional network'],
    cot: ['chain of thought'],
    ctr: ['click through'],
    ddpm: ['denoising diffusion probabilistic'],
    dit: ['diffusion transformer'],
    dpo: ['direct preference optimization'],
    fid: ['frechet inception distance'],
    gan: ['generative adversarial'],
    gcn: ['graph convolutional'],
    gnn: ['graph neural network', 'graph network'],
    icl: ['in context learning'],
    kd: ['knowledge distillation', 'distillation'],
    llm: ['large language model', 'language model'],
    lora: ['low rank adaptation'],
    lstm: ['long short term memory'],
    mae: ['masked autoencoder'],
    mcts: ['monte carlo tree search'],
    mlm: ['masked language'],
    moe: ['mixture of experts'],
    mot: ['multi object tracking', 'multiple object tracking'],
    nas: ['neural architecture search'],
    nat: ['non autoregressive'],
    nerf: ['neural radiance field', 'radiance field'],
    nlp: ['natural language processing'],
    nmt: ['neural machine translation', 'machine translation'],
    ocr: ['optical character recognition', 'character recognition'],
    ode: ['ordinary differential equation'],
    ood: ['out of distribution'],
    peft: ['parameter efficient fine tuning', 'parameter efficient'],
    pinn: ['physics informed neural network', 'physics informed'],
    ppo: ['proximal policy optimization'],
    ptq: ['post training quantization'],
    qa: ['question answering'],
    qat: ['quantization aware training'],
    rag: ['retrieval augmented', 'retrieval augmentation'],
    rl: ['reinforcement learning'],
    rlhf: ['reinforcement learning from human feedback', 'human feedback'],
    rnn: ['recurrent neural network', 'recurrent network'],
    sam: ['segment anything'],
    sde: ['stochastic differential equation'],
    sft: ['supervised fine tuning'],
    sgd: ['stochastic gradient descent'],
    slam: ['simultaneous localization and mapping'],
    ssl: ['self supervised'],
    ssm: ['state space model'],
    t2i: ['text to image'],
    tta: ['test time adaptation'],
    tts: ['text to speech', 'speech synthesis'],
    vae: ['variational autoencoder', 'variational bayes'],
    vit: ['vision transformer'],
    vla: ['vision language action'],
    vlm: ['vision language model'],
    vqa: ['visual question answering'],
  }),
);

/** Long forms and what abbreviates them. */
const abbreviated = Map.groupBy(
  [...abbreviations].flatMap(([short, longs]) => longs.map((long) => ({ short, long }))),
  ({ long }) => long,
);

/** Words. */
export const longestForm = 6;

/** "large language models" stands where "llm" does; the plural of its last word does not matter. */
export function abbreviationOf(words: readonly string[]): readonly string[] {
  if (words.length < 2 || words.length > longestForm) return [];
  const text = words.join(' ');
  const found = abbreviated.get(text) ?? abbreviated.get(text.replace(/s$/, ''));
  return found?.map(({ short }) => short) ?? [];
}

/** British spellings as American ones and the other way round. A spelling that does not exist is found nowhere. */
const spellings: readonly (readonly [RegExp, string])[] = [
  [/is(ation|ations|e|es|ed|ing|er|ers)$/, 'iz$1'],
  [/iz(ation|ations|e|es|ed|ing|er|ers)$/, 'is$1'],
  [/(?<=..)our(?=$|s$|ed$|al$|ing$|ful$|hood)/, 'or'],
  [/(?<=(?:col|behavi|neighb|flav|fav|hum|lab|vap|harb|od))or(?=$|s$|ed$|al$|ing$|ful$|hood)/, 'our'],
  [/(?<=[aeiou])ll(?=(ed|ing)$)/, 'l'],
  [/tre$/, 'ter'],
];

/** Parts that stand before a word with a hyphen as often as without. */
const prefix =
  /^(anti|auto|cross|fine|few|inter|intra|meta|multi|non|post|pre|self|semi|sub|super|zero)(?=.{4})/;

/** Other words or phrases for one word. */
export function variantsOf(word: string): readonly string[] {
  const singular = word.length > 3 ? word.replace(/s$/, '') : word;
  const long = abbreviations.get(word) ?? abbreviations.get(singular);
  const spelled = spellings.flatMap(([pattern, to]) =>
    pattern.test(word) ? [word.replace(pattern, to)] : [],
  );
  const parts = prefix.test(word) ? [word.replace(prefix, '$1 ')] : [];
  return [...(long ?? []), ...spelled, ...parts];
}
