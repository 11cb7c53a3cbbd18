/** What readers ask for, and what answers it: judged by what the papers are about, before anything was searched. */

import { edition20260910 } from '@working-papers/edition';
import { type JudgedRecord, judgedRecords } from './records.ts';

export const kinds = [
  'author',
  'title',
  'typo',
  'abbreviation',
  'synonym',
  'question',
  'topic',
  'edition',
] as const;
export type Kind = (typeof kinds)[number];

export interface JudgedQuery {
  readonly text: string;
  readonly kind: Kind;
  /** Search may be improved while looking at one half; the other says whether that was learning or cramming. */
  readonly half: 'tune' | 'held out';
  /** arXiv identifiers. */
  readonly answers: readonly string[];
}

/** Text, known answers by identifier, and facets of which a made-up record must have all. */
type Asked = readonly [text: string, answers: string, about?: string];

const asked: Readonly<Record<Kind, readonly Asked[]>> = {
  author: [
    ['Kaiming He', '1512.03385 1506.01497 1703.06870 1708.02002 1911.05722 2111.06377'],
    ['papers by Chelsea Finn', '1703.03400 2305.18290'],
    ['Jonathan Ho diffusion', '2006.11239 2207.12598 2202.00512 2204.03458'],
    ['Noam Shazeer mixture of experts', '1701.06538 2101.03961'],
    ['velickovic graphs', '1710.10903'],
    ['Yoshua Bengio', '1406.2661 1409.0473 1610.09038 1710.10903'],
    ['Tri Dao attention memory', '2205.14135'],
    ['Abeer Alwan and Ruchao Fan', '2304.07611'],
  ],
  title: [
    ['attention is all you need', '1706.03762'],
    ['"deep residual learning"', '1512.03385'],
    ['train short test long', '2108.12409'],
    ['masked autoencoders are scalable vision learners', '2111.06377'],
    ['why should I trust you', '1602.04938'],
    ['lottery ticket', '1803.03635'],
  ],
  typo: [
    ['difusion modles guidence', '2207.12598 2503.07274'],
    ['quantizaton of languge models', '2305.14314 2208.07339 2210.17323 2306.00978'],
    ['grafh attention netwroks', '1710.10903'],
    ['reinforcment lerning from human feedbak', '2203.02155'],
    ['Vasconselos cascade', '1712.00726'],
    ['end to end speach recogniton transformer', '2304.07611 2005.08100'],
    ['radience feilds', '2003.08934 2308.04079'],
    ['federatd lerning for recomender systems', '', 'federated recommendation'],
  ],
  abbreviation: [
    ['RLHF', '2203.02155'],
    ['3D MOT', '2308.06635 2006.11275'],
    ['ASR data augmentation', '1904.08779', 'augmentation asr'],
    ['RAG for QA', '2005.11401', 'retrieval qa'],
    ['PPO', '1707.06347'],
    ['GNN privacy', '', 'graphs privacy'],
    ['MoE for machine translation', '', 'experts translation'],
    ['CFG distillation', '2503.07274'],
  ],
  synonym: [
    ['removing connections of networks that read medical scans', '', 'pruning medical'],
    ['teacher and student for voice synthesis', '', 'distillation tts'],
    ['learning from demonstrations for grasping', '2303.04137', 'imitation locomotion'],
    ['INT4 program synthesis', '', 'quantization code'],
    ['decentralised training for drug discovery', '', 'federated molecules'],
    ['long-tailed radiology', '', 'imbalance medical'],
    ['overconfident object detectors', '', 'calibration detection'],
    ['score-based generation of ligands', '', 'diffusion molecules'],
    ['anytime prediction for image classifiers', '1703.09844 1709.01686 2310.09163'],
    ['colouring grey photos and sketches', '1603.08511 2504.06895'],
  ],
  question: [
    [
      'how can I sample from a diffusion model in one step?',
      '2303.01469 2311.18828 2405.14867 2202.00512 2209.03003',
    ],
    ['why are neural networks too confident?', '1706.04599'],
    ['what is the best way to fine-tune a large language model on one GPU?', '2305.14314 2106.09685'],
    [
      'does a sequence model need the ground truth as input while it is trained?',
      '1506.03099 1610.09038 1511.06732',
    ],
    [
      'how do I make a language model read longer texts than it was trained on?',
      '2108.12409 2502.17421 2309.17453',
    ],
    ['can a robot be trained in simulation and used in the real world?', '1703.06907'],
    ['which methods protect privacy in recommender systems?', '', 'privacy recommendation'],
    ['how to follow objects in a video in real time', '1602.00763 1703.07402 2110.06864'],
  ],
  topic: [
    ['speculative decoding text summarization', '', 'speculative summarization'],
    ['early exiting speech recognition', '', 'early-exit asr'],
    ['self-supervised vision transformers', '2104.14294 2111.06377'],
    ['semi-supervised graph convolution', '1609.02907'],
    ['lip sync talking heads', '2008.10010 2505.20156'],
    ['planning with a learned world model', '1911.08265 2301.04104'],
    ['curriculum learning autonomous driving', '', 'curriculum driving'],
    ['contrastive learning medical imaging', '', 'contrastive medical'],
  ],
  edition: [
    ['training-inference mismatch', edition20260910.papers.map(({ arxiv }) => arxiv).join(' ')],
    ['segmentation mismatch in speech translation', '2106.12607'],
    ['caching in diffusion transformers', '2410.01723 2312.00858'],
    ['boxes of higher quality in stages', '1712.00726'],
  ],
};

export function judgedQueries(records: readonly JudgedRecord[] = judgedRecords()): readonly JudgedQuery[] {
  return kinds.flatMap((kind) =>
    asked[kind].map(([text, known, about = ''], index): JudgedQuery => {
      const wanted = words(about);
      const made =
        wanted.length === 0
          ? []
          : records.filter(({ facets }) => wanted.every((facet) => facets.includes(facet)));
      return {
        text,
        kind,
        half: index % 2 === 0 ? 'tune' : 'held out',
        answers: [...words(known), ...made.map(({ record }) => record.id)],
      };
    }),
  );
}

const words = (text: string) => text.split(' ').filter((word) => word !== '');
