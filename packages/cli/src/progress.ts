import { createProgress, type ProgressReporter } from '@working-papers/nn/progress';
import type { Progress } from '@working-papers/paper';
import type { Writer } from './output.ts';

export interface Bars {
  add(label: string, total: number): Progress;
  /** Writes with the bar out of the way. */
  aside(write: () => void): void;
}

/** Bars on a terminal, nothing elsewhere. They nest (epochs around batches), and the innermost is drawn. */
export function createBars(terminal: Writer): Bars {
  const bars: ProgressReporter[] = [];
  return {
    add(label, total) {
      const bar = createProgress({ label, total, stream: terminal.isTTY ? terminal : null });
      bars.push(bar);
      const end = () => {
        const at = bars.indexOf(bar);
        if (at < 0) return;
        bars.splice(at, 1);
        bar.finish();
      };
      return {
        update(done, note) {
          if (bars.at(-1) === bar) bar.update(done, note);
        },
        end,
        [Symbol.dispose]: end,
      };
    },
    aside(write) {
      if (terminal.isTTY && bars.length > 0) terminal.write('\r\x1b[K');
      write();
    },
  };
}
