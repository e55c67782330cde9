import { Presets, SingleBar } from 'cli-progress';
import { formatDuration } from '../base/console.js';
import { terminalOf } from '../base/terminal.js';

/** Seconds between two plain lines. */
const PLAIN_INTERVAL = 10;

/** Shows how many of some images are done, with rate and time left. */
export interface RowProgress {
  /** What was done at the first call counts as done before, and not for the rate. */
  update(done: number, total: number): void;
  stop(): void;
}

/** A progress bar on a terminal; elsewhere a plain line now and then. */
export function showRows(stream: NodeJS.WriteStream): RowProgress {
  const show = terminalOf(stream).bars ? showBar(stream) : showLines(stream);
  let first: { done: number; at: number } | undefined;
  return {
    update(done, total) {
      const now = performance.now();
      first ??= { done, at: now };
      const rate = (done - first.done) / ((now - first.at) / 1000);
      const known = done > first.done;
      show.update(done, total, {
        rate: known ? rate.toFixed(rate < 10 ? 1 : 0) : '-',
        left: known ? formatDuration((total - done) / rate) : '-',
      });
    },
    stop: () => show.stop(),
  };
}

interface Display {
  update(done: number, total: number, shown: { rate: string; left: string }): void;
  stop(): void;
}

function showBar(stream: NodeJS.WriteStream): Display {
  const format = '{bar} {value}/{total}  {rate} images/s  {left} left';
  const bar = new SingleBar({ format, barsize: 20, stream, gracefulExit: false }, Presets.shades_classic);
  let started = false;
  return {
    update(done, total, shown) {
      if (started) bar.update(done, shown);
      else bar.start(total, done, shown);
      started = true;
    },
    stop: () => bar.stop(),
  };
}

function showLines(stream: NodeJS.WriteStream): Display {
  let lastLine = performance.now();
  return {
    update(done, total, { rate, left }) {
      const now = performance.now();
      if (rate === '-' || now - lastLine < PLAIN_INTERVAL * 1000) return;
      lastLine = now;
      stream.write(`${done}/${total}  ${rate} images/s  ${left} left\n`);
    },
    stop() {},
  };
}
