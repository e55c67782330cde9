import { MultiBar, Presets } from 'cli-progress';
import { terminalOf } from './terminal.js';

/** Where a command speaks to people. */
export interface Console {
  line(text?: string): void;
  /** A line that should not be missed. */
  warn(text: string): void;
  /** Starts to show how far a run of `totalSteps` is, of which `doneSteps` were done before. */
  progress(totalSteps: number, epochs: number, doneSteps: number): Progress;
}

/** Shows how far a run is. */
export interface Progress {
  step(status: StepStatus): void;
  stop(): void;
}

export interface StepStatus {
  epoch: number;
  step: number;
  loss: number;
  imagesPerSecond: number;
}

/** Seconds between two plain lines. */
const PLAIN_INTERVAL = 10;

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
  return {
    line,
    warn: (text) => line(terminalOf(stream).colour ? `\x1b[33m${text}\x1b[0m` : text),
    progress(totalSteps, epochs, doneSteps) {
      if (!terminalOf(stream).bars) return plainProgress(line, totalSteps, epochs, doneSteps);
      const format = `epoch {epoch}/${epochs} {bar} step {value}/{total}  loss {loss}  {rate} images/s  {left} left`;
      const running = new MultiBar(
        { format, barsize: 20, hideCursor: false, stream, gracefulExit: false },
        Presets.shades_classic,
      );
      bars = running;
      const bar = running.create(totalSteps, doneSteps, { epoch: '-', loss: '-', rate: '-', left: '-' });
      const left = timeLeft(totalSteps, doneSteps);
      return {
        step: (status) => bar.update(status.step, { epoch: status.epoch, ...shown(status), left: left(status.step) }),
        stop() {
          running.update(); // writes the lines that wait for the next drawing
          running.stop();
          bars = undefined;
        },
      };
    },
  };
}

/** A line after the first step, the last one, and every few seconds between. */
function plainProgress(line: (text: string) => void, totalSteps: number, epochs: number, doneSteps: number): Progress {
  const left = timeLeft(totalSteps, doneSteps);
  let lastLine = Number.NEGATIVE_INFINITY;
  return {
    step(status) {
      const now = performance.now();
      if (now - lastLine < PLAIN_INTERVAL * 1000 && status.step !== totalSteps) return;
      lastLine = now;
      const { loss, rate } = shown(status);
      const progress = `epoch ${status.epoch}/${epochs}  step ${status.step}/${totalSteps}`;
      line(`${progress}  loss ${loss}  ${rate} images/s  ${left(status.step)} left`);
    },
    stop() {},
  };
}

function shown({ loss, imagesPerSecond }: StepStatus): { loss: string; rate: string } {
  return { loss: loss.toFixed(4), rate: imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0) };
}

/** Tells the time left at a step, from the pace since now. */
function timeLeft(totalSteps: number, doneSteps: number): (step: number) => string {
  const start = performance.now();
  return (step) => formatDuration((((performance.now() - start) / 1000) * (totalSteps - step)) / (step - doneSteps));
}

/** '1 image', '2 images' */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** Seconds as people say them: '48s', '5m03s', '2h10m', '3d04h'. */
export function formatDuration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 60) return `${Math.round(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
}

/** A path as a shell takes it. */
export function quote(path: string): string {
  return /^[\w./\-+@%:,]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
