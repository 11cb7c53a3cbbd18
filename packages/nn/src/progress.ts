/**
 * Progress of long work on a terminal: a bar that redraws itself, or a line now and then where output is a file.
 */

/** What a reporter needs of `process.stderr`. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Of `createProgress`. */
export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  /** What is counted, e.g. `batches`. */
  readonly unit?: string;
  /** Already done when the work starts, for work that resumes. */
  readonly start?: number;
  /** Default `process.stderr`, so that results on stdout stay clean; `null` keeps silent. */
  readonly stream?: ProgressStream | null;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** A bar. */
export interface ProgressReporter {
  /** `done` units so far, and a word about them: `loss 0.41`. */
  update(done: number, note?: string): void;
  /** Draws the last state and ends the line. */
  finish(): void;
}

const barWidth = 24;

/** A bar with the time left on a terminal, a line now and then elsewhere, nothing where `stream` is null. */
export function createProgress(options: ProgressOptions): ProgressReporter {
  const { label, total, unit = '', start = 0, stream = process.stderr, now = Date.now } = options;
  if (stream === null) return { update() {}, finish() {} };
  const interval = stream.isTTY ? 100 : 10_000;
  const begun = now();
  let drawn = begun - (stream.isTTY ? interval : 0);
  let done = start;
  let note = '';

  const draw = () => {
    const seconds = (now() - begun) / 1000;
    const rate = seconds > 0 ? (done - start) / seconds : 0;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const filled = Math.round(share * barWidth);
    const left = rate > 0 && done < total ? `${formatTime((total - done) / rate)} left` : '';
    const parts = [
      label,
      stream.isTTY ? `[${'#'.repeat(filled).padEnd(barWidth, '-')}]` : '',
      `${Math.floor(share * 100)}%`,
      `${done}/${total} ${unit}`.trimEnd(),
      rate > 0 ? `${rate.toPrecision(3)}/s` : '',
      done < total ? left : `in ${formatTime(seconds)}`,
      note,
    ];
    const line = parts.filter(Boolean).join('  ');
    stream.write(stream.isTTY ? `\r${line.slice(0, (stream.columns ?? 80) - 1)}\x1b[K` : `${line}\n`);
    drawn = now();
  };

  return {
    update(newDone, newNote = note) {
      done = newDone;
      note = newNote;
      if (now() - drawn >= interval) draw();
    },
    finish() {
      draw();
      if (stream.isTTY) stream.write('\n');
    },
  };
}

/** Seconds as `42 s`, `3:07` or `1:02:03`. */
export function formatTime(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const digits = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${digits(minutes)}:${digits(whole % 60)}` : `${minutes}:${digits(whole % 60)}`;
}
