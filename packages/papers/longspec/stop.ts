/** Text that ends where one of several strings begins, given out as soon as none of them can begin in it any more. */

export interface StopFilter {
  /** The text that is certain now; `done` when a string was found, which is not part of the text. */
  push(text: string): { readonly text: string; readonly done: boolean };
  /** What was held back, when nothing more comes. */
  end(): string;
}

export function stopFilter(stops: readonly string[]): StopFilter {
  const strings = stops.filter((stop) => stop !== '');
  let held = '';
  return {
    push(text) {
      held += text;
      const found = strings.map((stop) => held.indexOf(stop)).filter((at) => at >= 0);
      if (found.length > 0) return { text: held.slice(0, Math.min(...found)), done: true };
      let kept = 0;
      for (const stop of strings)
        for (let length = Math.min(stop.length - 1, held.length); length > kept; length--)
          if (held.endsWith(stop.slice(0, length))) kept = length;
      const certain = held.slice(0, held.length - kept);
      held = held.slice(held.length - kept);
      return { text: certain, done: false };
    },
    end: () => held,
  };
}
