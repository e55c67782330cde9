import { MultiBar, Presets } from 'cli-progress';
import { formatDuration } from './console.js';
import { terminalOf } from './terminal.js';

/** Speaks of work that is measured in bytes or images: a bar on a terminal, plain lines elsewhere. */
export interface Amounts {
  line(text: string): void;
  /** Starts to show how far some work is. */
  start(title: string, unit: Unit): AmountProgress;
}

export interface AmountProgress {
  /** @param total null where it is not known */
  update(done: number, total: number | null): void;
  stop(): void;
}

export type Unit = 'bytes' | 'images';

/** Seconds between two plain lines. */
const PLAIN_INTERVAL = 10;

/** Speaks on standard output, or on standard error where standard output is for machines. */
export function createAmounts(
  machineOutput: boolean,
  stream = machineOutput ? process.stderr : process.stdout,
): Amounts {
  let bars: MultiBar | undefined;
  const line = (text: string) => {
    if (bars) bars.log(`${text}\n`);
    else stream.write(`${text}\n`);
  };
  return {
    line,
    start(title, unit) {
      const pace = measurePace();
      if (!terminalOf(stream).bars) return plainProgress(line, title, unit, pace);
      const running = new MultiBar(
        { format: `${title} {bar} {text}`, barsize: 20, hideCursor: false, stream, gracefulExit: false },
        Presets.shades_classic,
      );
      bars = running;
      const bar = running.create(1, 0, { text: '' });
      return {
        update(done, total) {
          bar.setTotal(Math.max(total ?? done, 1));
          bar.update(total === null ? 0 : done, { text: describeAmount(done, total, unit, pace(done)) });
        },
        stop() {
          running.update(); // writes the lines that wait for the next drawing
          running.stop();
          bars = undefined;
        },
      };
    },
  };
}

/** '45.2 of 169.0 MB  3.1 MB/s  40s left' */
export function describeAmount(done: number, total: number | null, unit: Unit, perSecond: number): string {
  const rate = `${unit === 'bytes' ? formatBytes(perSecond) : `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} images`}/s`;
  const show = (amount: number) => (unit === 'bytes' ? formatBytes(amount) : String(amount));
  if (total === null) return `${show(done)}  ${rate}`;
  const left = perSecond > 0 ? `  ${formatDuration((total - done) / perSecond)} left` : '';
  return `${show(done)} of ${show(total)}${unit === 'images' ? ' images' : ''}  ${rate}${left}`;
}

/** Bytes as people say them, in steps of a thousand: '512 B', '16.4 MB'. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

function plainProgress(
  line: (text: string) => void,
  title: string,
  unit: Unit,
  pace: (done: number) => number,
): AmountProgress {
  let lastLine = performance.now();
  return {
    update(done, total) {
      const perSecond = pace(done);
      const now = performance.now();
      if (now - lastLine < PLAIN_INTERVAL * 1000) return;
      lastLine = now;
      line(`${title}  ${describeAmount(done, total, unit, perSecond)}`);
    },
    stop() {},
  };
}

/** The pace since the first amount that was seen, or since the work had to begin anew. */
function measurePace(): (done: number) => number {
  let first: { done: number; time: number } | undefined;
  let last = 0;
  return (done) => {
    const time = performance.now();
    if (!first || done < last) first = { done, time };
    last = done;
    return time > first.time ? ((done - first.done) / (time - first.time)) * 1000 : 0;
  };
}
