import { offered as pictures } from 'virtual:paper-pictures';
import { offered as samples } from 'virtual:paper-samples';

/** What a paper's folder says of its `samples.png` in `samples.json`. */
export interface Samples {
  /** What is to be seen, in words. */
  readonly alt: string;
  readonly caption: string;
  /** Makes the picture again. */
  readonly command: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** A picture of what the paper's method makes; undefined where it makes none. */
export function samplesOf(id: string): (Samples & { readonly url: string }) | undefined {
  if (!Object.hasOwn(samples, id) || !Object.hasOwn(pictures, id)) return undefined;
  return { ...samples[id]!, url: pictures[id]! };
}
