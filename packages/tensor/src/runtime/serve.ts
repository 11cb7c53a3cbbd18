/** The worker's main loop, the same in Node and in the browser: messages in, answers out, one after another. */

import { type Answer, type Closing, type Message, transferable } from './channel.ts';
import { Host, type HostOptions, type Ort } from './host.ts';

/**
 * What a device's thread does with messages: opens ONNX Runtime with the first, answers the others in order, and calls `end`
 * when it is asked to close and nothing runs.
 */
export function serve(
  load: (options: HostOptions, assets: string | undefined) => Promise<Ort>,
  answer: (answer: Answer, transfer: ArrayBuffer[]) => void,
  end: () => void = () => {},
): (message: Message) => void {
  let host: Host | undefined;
  let isClosing = false;
  let queue = Promise.resolve();
  const handle = async (message: Exclude<Message, Closing>): Promise<void> => {
    if (isClosing) return;
    const { id } = message;
    try {
      if ('open' in message) {
        const { assets, ...options } = message.open;
        host = new Host(await load(options, assets), options);
        answer({ id, reply: {} }, []);
      } else {
        const reply = await host!.handle(message.request);
        answer({ id, reply }, transferable(reply));
      }
    } catch (error) {
      answer({ id, error: error instanceof Error ? error.message : String(error) }, []);
    }
  };
  return (message) => {
    if ('closing' in message) {
      isClosing = true;
      queue = queue.then(end);
    } else queue = queue.then(() => handle(message));
  };
}
