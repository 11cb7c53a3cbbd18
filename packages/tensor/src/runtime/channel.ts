/** Requests to a worker and their answers. The same protocol runs over Node's and the browser's workers. */

import type { NdArray } from '../array.ts';
import type { HostOptions, Reply, Request } from './host.ts';

/** To the device's thread. */
export type Message =
  | { readonly id: number; readonly open: HostOptions & { readonly assets: string | undefined } }
  | { readonly id: number; readonly request: Request }
  | Closing;

/** Nothing is answered any more, not even what waits. */
export interface Closing {
  readonly closing: true;
}

/** From the device's thread, by the number of the message. */
export type Answer =
  | { readonly id: number; readonly reply: Reply }
  | { readonly id: number; readonly error: string };

/** The part of a worker that both platforms have. */
export interface Port {
  post(message: Message, transfer: ArrayBuffer[]): void;
  onAnswer(listener: (answer: Answer) => void): void;
  onFailure(listener: (error: Error) => void): void;
  close(): Promise<void>;
}

/** Buffers of a reply that can be handed over instead of copied. */
export function transferable(reply: Reply): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of Object.values(reply) as NdArray[]) {
    if (data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength)
      buffers.add(data.buffer);
  }
  return [...buffers];
}
