/**
 * What the made-up records are about: a method, a task and a trouble each. Every facet has several names, of which a
 * record uses some and a reader another: that is what makes searching hard. Names never contain another facet's.
 */
export interface Facet {
  readonly id: string;
  /** As authors call it in titles and abstracts. */
  readonly names: readonly string[];
  /** A sentence that tells it without its name. */
  readonly told: string;
}

const facet = (id: string, names: string, told: string): Facet => ({ id, names: names.split('|'), told });

export const methods: readonly Facet[] = [
  facet(
    'quantization',
    'quantization|low-bit weights|INT4 arithmetic|reduced precision',
    'Numbers of four or eight bits take the place of floats.',
  ),
  facet(
    'pruning',
    'pruning|weight sparsification|removal of redundant neurons',
    'Connections that hardly contribute are cut out.',
  ),
  facet(
    'distillation',
    'knowledge distillation|teacher-student training|model compression by imitation of a larger model',
    'A small model learns from the outputs of a big one.',
  ),
  facet(
    'early-exit',
    'early exiting|adaptive computation depth|anytime prediction',
    'Easy inputs leave after a few layers.',
  ),
  facet(
    'caching',
    'feature caching|reuse of intermediate activations|KV-cache compression',
    'What was computed a moment ago is kept and used again.',
  ),
  facet(
    'speculative',
    'speculative decoding|draft-and-verify generation|drafting with a small model',
    'Several tokens are proposed cheaply and checked together.',
  ),
  facet(
    'diffusion',
    'diffusion models|score-based generation|iterative denoising',
    'Samples emerge from noise step by step.',
  ),
  facet(
    'adversarial-nets',
    'generative adversarial networks|GANs|a generator against a discriminator',
    'Two networks compete, one of them judging the other.',
  ),
  facet(
    'contrastive',
    'contrastive learning|instance discrimination|InfoNCE pretraining',
    'Views of the same thing attract, all others repel each other.',
  ),
  facet(
    'retrieval',
    'retrieval augmentation|RAG|grounding in an external corpus',
    'Passages are looked up and read before answering.',
  ),
  facet(
    'experts',
    'mixture of experts|MoE|conditional routing',
    'A gate chooses which sub-networks see an input.',
  ),
  facet(
    'adapters',
    'low-rank adaptation|LoRA|parameter-efficient fine-tuning',
    'The backbone stays frozen and small modules are tuned.',
  ),
  facet(
    'imitation',
    'imitation learning|behavioural cloning|learning from demonstrations',
    'A policy copies what an expert did.',
  ),
  facet(
    'federated',
    'federated learning|decentralised training across clients|on-device collaborative training',
    'Data never leaves the devices that hold it.',
  ),
  facet(
    'curriculum',
    'curriculum learning|easy-to-hard scheduling|self-paced training',
    'Examples come in order of difficulty.',
  ),
  facet(
    'augmentation',
    'data augmentation|mixup|synthetic training examples',
    'Altered copies enlarge the training set.',
  ),
  facet(
    'meta',
    'meta-learning|learning to learn|few-shot adaptation',
    'A handful of examples suffices for something new.',
  ),
  facet(
    'bayesian',
    'Bayesian neural networks|variational inference|posterior sampling',
    'Weights are distributions and not numbers.',
  ),
];

export const tasks: readonly Facet[] = [
  facet(
    'translation',
    'machine translation|NMT|translating documents',
    'Sentences pass from one language into another.',
  ),
  facet('asr', 'speech recognition|ASR|audio transcription', 'Spoken words are written down.'),
  facet(
    'detection',
    'object detection|bounding-box prediction|detectors',
    'Boxes are drawn around things in a picture.',
  ),
  facet(
    'tracking',
    'multi-object tracking|MOT|trajectory association',
    'Identities are kept from frame to frame.',
  ),
  facet(
    'image-synthesis',
    'image synthesis|text-to-image generation|picture generation',
    'A caption becomes a picture.',
  ),
  facet(
    'video',
    'video generation|clip synthesis|text-to-video models',
    'Frames follow each other without flicker.',
  ),
  facet('segmentation', 'semantic segmentation|pixel labelling|scene parsing', 'Every pixel gets a class.'),
  facet(
    'qa',
    'question answering|reading comprehension|open-domain QA',
    'Asked in plain words, a system replies from text.',
  ),
  facet(
    'summarization',
    'text summarization|abstractive summaries|condensing long reports',
    'Long texts become a paragraph.',
  ),
  facet(
    'code',
    'code generation|program synthesis|writing software with language models',
    'A description becomes a function that passes its tests.',
  ),
  facet(
    'forecasting',
    'time-series forecasting|demand prediction|long-horizon prediction',
    'Coming values are estimated from past ones.',
  ),
  facet(
    'recommendation',
    'recommender systems|click-through prediction|collaborative filtering',
    'Items are ranked for each user.',
  ),
  facet('medical', 'medical imaging|radiology|CT and MRI analysis', 'Scans of patients are read.'),
  facet('locomotion', 'robot manipulation|grasping|dexterous control', 'An arm picks up what it is told to.'),
  facet('graphs', 'graph neural networks|GNNs|node classification', 'Nodes pass messages along edges.'),
  facet('tts', 'text-to-speech|TTS|voice synthesis', 'Written words are spoken aloud.'),
  facet(
    'molecules',
    'molecular design|drug discovery|ligand generation',
    'Compounds with wanted properties are proposed.',
  ),
  facet(
    'driving',
    'autonomous driving|self-driving cars|motion planning on roads',
    'A vehicle decides where to steer.',
  ),
];

export const troubles: readonly Facet[] = [
  facet(
    'shift',
    'distribution shift|out-of-domain data|OOD generalisation',
    'Test data differs from training data.',
  ),
  facet(
    'exposure',
    'exposure bias|compounding errors|teacher-forcing discrepancy',
    'Own mistakes feed back into later steps.',
  ),
  facet(
    'calibration',
    'miscalibration|overconfidence|unreliable confidence',
    'Stated probabilities are not kept.',
  ),
  facet(
    'length',
    'long contexts|length extrapolation|very long inputs',
    'Inputs grow beyond what was seen before.',
  ),
  facet(
    'low-resource',
    'low-resource settings|label scarcity|few annotations',
    'Hardly anything is labelled.',
  ),
  facet(
    'latency',
    'inference latency|real-time constraints|slow serving',
    'Answers must come within milliseconds.',
  ),
  facet(
    'attacks',
    'adversarial attacks|jailbreaks|worst-case perturbations',
    'Someone tampers with the input.',
  ),
  facet('fairness', 'fairness|demographic bias|disparate impact', 'Groups of people are treated unequally.'),
  facet(
    'privacy',
    'privacy leakage|membership inference|differential privacy',
    'Secrets of single persons can be told from a model.',
  ),
  facet(
    'forgetting',
    'catastrophic forgetting|continual learning|lifelong adaptation',
    'What was learned first is lost later.',
  ),
  facet(
    'imbalance',
    'class imbalance|long-tailed data|rare categories',
    'Some classes have a thousand times more examples.',
  ),
  facet(
    'noise',
    'label noise|wrong annotations|crowd-sourcing errors',
    'A part of the answers in the data is wrong.',
  ),
];
