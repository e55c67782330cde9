import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { explainSystemError, isMissing } from '../base/errors.js';
import type { Curve } from '../report/facts.js';
import type { RunFolder } from './run-folder.js';
import { type LogRow, parseLogLine } from './run-log.js';
import { scalarsOf } from './scalars.js';

/** Bytes that are read at once, and most characters of a line. */
const CHUNK = 2 ** 18;
const LONGEST_LINE = 2 ** 16;
/** Parts of a long curve; each keeps its lowest and highest value. */
const PARTS = 1000;
/** Steps whose speed is told. */
const RECENT = 100;

/** The numbers of a run's log by column, read on as the log grows. */
export class LogColumns {
  #columns = new Map<string, { steps: number[]; values: number[] }>();
  #speeds: number[] = [];
  #last: LogRow | null = null;
  /** How much was read of which file; a run that goes on replaces its log by a shorter one. */
  #read = { file: '', bytes: 0 };
  #begun = '';

  constructor(private readonly folder: RunFolder) {}

  /** The last row that was read; null where there is none. */
  get last(): LogRow | null {
    return this.#last;
  }

  /** Images per second in the median of the last steps; null before the first one. */
  get imagesPerSecond(): number | null {
    const sorted = this.#speeds.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }

  /** Reads what is new; lines that were cut off or damaged are left out. */
  readOn(): void {
    let file: number;
    try {
      file = openSync(this.folder.log, 'r');
    } catch (error) {
      if (!isMissing(error)) throw explainSystemError(error, this.folder.log);
      this.#forget('');
      return;
    }
    try {
      const { ino, birthtimeMs, size } = fstatSync(file);
      const name = `${ino} ${birthtimeMs}`;
      if (name !== this.#read.file || size < this.#read.bytes) this.#forget(name);
      this.#readFrom(file);
    } finally {
      closeSync(file);
    }
  }

  /** All columns, those of long runs thinned out. */
  curves(): Curve[] {
    return [...this.#columns].map(([name, column]) => ({ name, ...thinned(column) }));
  }

  #readFrom(file: number): void {
    const chunk = Buffer.alloc(CHUNK);
    for (;;) {
      const bytes = readSync(file, chunk, 0, CHUNK, this.#read.bytes);
      if (bytes === 0) return;
      this.#read.bytes += bytes;
      // All that a log holds is ASCII but names of plugins' values; one that is cut between two bytes only loses its line.
      const lines = (this.#begun + chunk.toString('utf8', 0, bytes)).split('\n');
      this.#begun = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const row of lines.flatMap(parseLogLine)) this.#add(row);
    }
  }

  #add(row: LogRow): void {
    if (this.#last && row.step <= this.#last.step) return;
    this.#last = row;
    if (Number.isFinite(row.imagesPerSecond)) this.#speeds = [...this.#speeds.slice(1 - RECENT), row.imagesPerSecond];
    for (const [name, value] of scalarsOf(row)) {
      if (name === 'epoch') continue;
      const column = this.#columns.get(name) ?? { steps: [], values: [] };
      column.steps.push(row.step);
      column.values.push(value);
      this.#columns.set(name, column);
    }
  }

  #forget(file: string): void {
    this.#columns = new Map();
    this.#speeds = [];
    this.#last = null;
    this.#read = { file, bytes: 0 };
    this.#begun = '';
  }
}

/** The lowest and the highest value of each of at most a thousand parts, and the first and last of all, rounded. */
export function thinned({ steps, values }: Omit<Curve, 'name'>): Omit<Curve, 'name'> {
  const count = values.length;
  const kept = new Set<number>([0, count - 1]);
  for (let part = 0; part < PARTS && count > 2 * PARTS; part++) {
    const [from, to] = [part, part + 1].map((end) => Math.floor((end * count) / PARTS));
    let [low, high] = [from, from];
    for (let at = from; at < to; at++) {
      if (values[at] < values[low]) low = at;
      if (values[at] > values[high]) high = at;
    }
    kept.add(low).add(high);
  }
  const places = count > 2 * PARTS ? [...kept].sort((a, b) => a - b) : [...steps.keys()];
  return {
    steps: places.map((at) => steps[at]),
    values: places.map((at) => Number(values[at].toPrecision(6))),
  };
}
