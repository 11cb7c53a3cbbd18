import { sentenceOf } from '../browser.ts';

/** What is open now, if anything, and why not. Both are reactive. */
export interface KeptOpen<T> {
  readonly current: T | undefined;
  /** A sentence for the reader; also for what fails later. Another opening takes it back. */
  failure: string | undefined;
}

/**
 * Keeps one thing open for as long as a component lives: opens anew when a state that `open` reads changes, and
 * closes what was open before. To be called where a component sets up.
 *
 * @param onOpened is called before the new one becomes `current`.
 */
export function keepOpen<T extends { close(): Promise<void> }>(
  open: () => Promise<T>,
  onOpened?: (opened: T, before: T | undefined) => void,
): KeptOpen<T> {
  let current = $state.raw<T>();
  let failure = $state<string>();
  $effect(() => {
    let isWanted = true;
    const opening = open();
    opening.then(
      (opened) => {
        if (!isWanted) return;
        onOpened?.(opened, current);
        current = opened;
        failure = undefined;
      },
      (error: unknown) => {
        if (isWanted) failure = sentenceOf(error);
      },
    );
    return () => {
      isWanted = false;
      opening.then(
        (opened) => opened.close(),
        () => undefined,
      );
    };
  });
  return {
    get current() {
      return current;
    },
    get failure() {
      return failure;
    },
    set failure(sentence) {
      failure = sentence;
    },
  };
}
