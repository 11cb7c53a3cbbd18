import type { Progress } from '@working-papers/paper';
import type { Writer } from './output.ts';

const clearLine = '\r\x1b[2K';
const redrawEvery = 100; // ms

export interface Bar {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  readonly note: string;
  /** Milliseconds since its start. */
  readonly elapsed: number;
}

export interface Bars {
  add(label: string, total: number): Progress;
  /** Writes with the bar out of the way. */
  aside(write: () => void): void;
}

/** Bars nest (epochs around batches); the innermost is drawn, and only on a terminal. */
export function startProgress(terminal: Writer): Bars {
  const bars: { label: string; total: number; done: number; note: string; start: number }[] = [];
  let drawn = false;
  let drawnAt = 0;

  const clear = () => {
    if (drawn) terminal.write(clearLine);
    drawn = false;
  };
  const draw = () => {
    const bar = bars.at(-1);
    const now = performance.now();
    if (!terminal.isTTY || !bar || now - drawnAt < redrawEvery) return;
    terminal.write(clearLine + renderBar({ ...bar, elapsed: now - bar.start }, terminal.columns ?? 80));
    drawn = true;
    drawnAt = now;
  };

  return {
    add(label, total) {
      const bar = { label, total, done: 0, note: '', start: performance.now() };
      bars.push(bar);
      draw();
      const end = () => {
        const at = bars.indexOf(bar);
        if (at < 0) return;
        bars.splice(at, 1);
        clear();
      };
      return {
        update(done, note = '') {
          bar.done = done;
          bar.note = note;
          draw();
        },
        end,
        [Symbol.dispose]: end,
      };
    },
    aside(write) {
      clear();
      write();
    },
  };
}

/** `epoch 1 [#####---------------]  25 %  0:45 left  loss 0.412`, cut to the terminal's width. */
export function renderBar({ label, done, total, note, elapsed }: Bar, columns: number): string {
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const filled = Math.floor(share * 20);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(20 - filled)}]`;
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  const left = share > 0 ? `${clock((elapsed / share) * (1 - share))} left` : '';
  return [`${label} ${bar} ${percent}`, left, note]
    .filter(Boolean)
    .join('  ')
    .slice(0, columns - 1);
}

/** Milliseconds as `0:09`, `12:30` or `3:05:00`. */
export function clock(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
