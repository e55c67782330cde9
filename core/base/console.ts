import { MultiBar, Presets } from 'cli-progress';
import { terminalOf } from './program.js';

/** Where a command speaks to people. */
export interface Console {
  line(text?: string): void;
  /** A line that should not be missed. */
  warn(text: string): void;
  /** Starts to show how far a run of `totalSteps` is, of which `doneSteps` were done before. */
  progress(totalSteps: number, epochs: number, doneSteps: number, among?: AmongRuns): Progress;
  /** Starts to show how far work is that is measured in bytes or images. */
  transfer(title: string, unit: Unit): TransferProgress;
}

/** What is said of a run that is one of several. */
export interface AmongRuns {
  /** 'run 2 of 6, MAE, seed 0' */
  title: string;
  /** Seconds that all later runs will take, where a step of this one takes so many. */
  secondsLater(secondsPerStep: number): number;
}

/** What work on files needs of it. */
export type TransferConsole = Pick<Console, 'line' | 'transfer'>;

/** Shows how far a run is. */
export interface Progress {
  step(status: { epoch: number; step: number; loss: number; imagesPerSecond: number }): void;
  stop(): void;
}

export interface TransferProgress {
  /** @param total null where it is not known */
  update(done: number, total: number | null): void;
  stop(): void;
}

export type Unit = 'bytes' | 'images';

/** Says nothing. */
export const SILENT: Console = {
  line: () => {},
  warn: () => {},
  progress: () => ({ step: () => {}, stop: () => {} }),
  transfer: () => ({ update: () => {}, stop: () => {} }),
};

const PLAIN_INTERVAL_SECONDS = 10;

/**
 * Speaks on standard output, or on standard error where standard output is for machines: a progress bar on a terminal,
 * plain lines elsewhere.
 */
export function createConsole(machineOutput: boolean): Console {
  const stream = machineOutput ? process.stderr : process.stdout;
  let bars: MultiBar | undefined;
  const line = (text = '') => {
    if (bars) bars.log(`${text}\n`);
    else stream.write(`${text}\n`);
  };
  const open = (before: string, firstLineAt: number): ReturnType<typeof plainDisplay> => {
    if (!terminalOf(stream).bars) return plainDisplay(line, firstLineAt);
    const format = '{before} {bar} {after}';
    const options = { format, barsize: 20, hideCursor: false, stream, gracefulExit: false };
    const running = new MultiBar(options, Presets.shades_classic);
    bars = running;
    const bar = running.create(1, 0, { before, after: '' });
    return {
      show(done, total, texts) {
        bar.setTotal(Math.max(total, 1));
        bar.update(done, texts);
      },
      stop() {
        running.update(); // writes the lines that wait for the next drawing
        running.stop();
        bars = undefined;
      },
    };
  };
  return {
    line,
    warn: (text) => line(terminalOf(stream).colour ? `\x1b[33m${text}\x1b[0m` : text),
    progress(totalSteps, epochs, doneSteps, among) {
      const title = among ? `${among.title}, ` : '';
      const display = open(`${title}epoch -/${epochs}`, Number.NEGATIVE_INFINITY);
      const paceAt = measurePace(doneSteps);
      return {
        step({ epoch, step, loss, imagesPerSecond }) {
          const seconds = 1 / paceAt(step);
          const left = (totalSteps - step) * seconds;
          const ofAll = among ? `, ${formatDuration(left + among.secondsLater(seconds))} of all runs` : '';
          const before = `${title}epoch ${epoch}/${epochs}`;
          const after =
            `step ${step}/${totalSteps}  loss ${loss.toFixed(4)}  ${formatRate(imagesPerSecond)}  ` +
            `${formatDuration(left)} left${ofAll}`;
          display.show(step, totalSteps, { before, after });
        },
        stop: display.stop,
      };
    },
    transfer(title, unit) {
      const display = open(title, performance.now() + PLAIN_INTERVAL_SECONDS * 1000);
      const paceAt = measurePace();
      return {
        update(done, total) {
          const after = describeAmount(done, total, unit, paceAt(done));
          display.show(total === null ? 0 : done, total ?? 0, { before: title, after });
        },
        stop: display.stop,
      };
    },
  };
}

/** A line every few seconds, and one at the end. @param firstLineAt when the first one may come, as `performance.now()` tells */
function plainDisplay(line: (text: string) => void, firstLineAt: number) {
  let nextLine = firstLineAt;
  return {
    show(done: number, total: number, { before, after }: { before: string; after: string }) {
      const now = performance.now();
      const isEnd = firstLineAt < 0 && done === total;
      if (now < nextLine && !isEnd) return;
      nextLine = now + PLAIN_INTERVAL_SECONDS * 1000;
      line(`${before}  ${after}`);
    },
    stop() {},
  };
}

/** Tells the pace, per second, since the amount that was first seen, or since the work had to begin anew. */
function measurePace(doneBefore?: number): (done: number) => number {
  let first = doneBefore === undefined ? undefined : { done: doneBefore, time: performance.now() };
  let last = 0;
  return (done) => {
    const time = performance.now();
    if (!first || done < last) first = { done, time };
    last = done;
    return time > first.time ? ((done - first.done) / (time - first.time)) * 1000 : 0;
  };
}

/** '45.2 MB of 169.0 MB  3.1 MB/s  40s left' */
export function describeAmount(done: number, total: number | null, unit: Unit, perSecond: number): string {
  const show = (amount: number) => (unit === 'bytes' ? formatBytes(amount) : String(amount));
  const rate = unit === 'bytes' ? `${formatBytes(perSecond)}/s` : formatRate(perSecond);
  if (total === null) return `${show(done)}  ${rate}`;
  const left = perSecond > 0 ? `  ${formatDuration((total - done) / perSecond)} left` : '';
  return `${show(done)} of ${show(total)}${unit === 'images' ? ' images' : ''}  ${rate}${left}`;
}

function formatRate(imagesPerSecond: number): string {
  return `${imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0)} images/s`;
}

/** '1 image', '2 images' */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** Bytes as people say them, in steps of a thousand: '512 B', '16.4 MB'. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

/** Seconds as people say them: '48s', '5m03s', '2h10m', '3d04h'. */
export function formatDuration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 60) return `${Math.round(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
}

const SECONDS_OF = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds of a duration as people write it: '90s', '30m', '1h30m', '2d'; null where it is none. */
export function readDuration(words: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?[smhd])+$/.test(words)) return null;
  const parts = words.matchAll(/([\d.]+)([smhd])/g);
  const seconds = Array.from(parts, ([, amount, unit]) => Number(amount) * SECONDS_OF[unit as keyof typeof SECONDS_OF]);
  return seconds.reduce((sum, part) => sum + part, 0);
}

/** A path as a shell takes it. */
export function quote(path: string): string {
  return /^[\w./\-+@%:,]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
