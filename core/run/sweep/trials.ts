import { hash } from 'node:crypto';
import { UserError } from '../../base/errors.js';
import { RandomStream } from '../../base/random.js';
import { type Draw, drawsOf, type SweepFile } from './file.js';

/** A choice of values, which is trained with every seed. */
export interface Trial {
  /** Of its folders, without the seed: learningRate-0.003_depth-2. */
  name: string;
  /** For people: 'learningRate 0.003, depth 2'. */
  title: string;
  /** What differs from the base. */
  values: Readonly<Record<string, unknown>>;
}

/** Most trials of a sweep. */
const MOST = 1000;
/** Most characters of a name. */
const LONGEST_NAME = 80;
/** Parts into which an interval is cut, whose ends may be drawn: short numbers make names that can be read. */
const DIVISIONS = 1000;

/**
 * All trials: each variant with each combination of the grid, whose last option changes first, with each random draw. The
 * draws are the same for all combinations.
 * @throws UserError if there are too many, or two are the same
 */
export function trialsOf({ path, variants = [{}], grid = {}, random }: SweepFile): Trial[] {
  const sizes = [variants.length, ...Object.values(grid).map(({ length }) => length), random?.trials ?? 1];
  const total = sizes.reduce((product, size) => product * size, 1);
  if (total > MOST) {
    throw new UserError(`${path} asks for ${total} trials`, {
      expected: `${MOST} at most`,
      remedy: 'leave some values out',
    });
  }
  let trials: Trial[] = variants.map(({ name, ...values }) =>
    trialOf(values, name === undefined ? null : String(name)),
  );
  for (const [option, choices] of Object.entries(grid)) {
    trials = trials.flatMap((trial) => choices.map((choice) => joined(trial, { [option]: choice })));
  }
  const draws = drawsFrom(random);
  trials = trials.flatMap((trial) => draws.map((drawn) => joined(trial, drawn)));
  const names = trials.map(({ name }) => name.toLowerCase()); // file systems that ignore case take them for one folder
  const twice = names.findIndex((name, at) => names.indexOf(name) < at);
  if (twice < 0) return trials;
  throw new UserError(`${path} asks for ${trials[twice].title} twice`, {
    expected: 'trials whose names differ, by more than capital letters',
    remedy: 'leave one of them out, give variants names, or draw from a wider range',
  });
}

/**
 * The values of each random trial. Each comes from a stream of its own, by option and trial: another option or more trials
 * change no value.
 */
function drawsFrom(random: SweepFile['random']): Trial['values'][] {
  if (!random) return [{}];
  return Array.from({ length: random.trials }, (_, trial) =>
    Object.fromEntries(
      Object.entries(drawsOf(random)).map(([option, draw]) => [
        option,
        drawValue(draw, new RandomStream(random.seed, `sweep ${option}`, trial)),
      ]),
    ),
  );
}

function drawValue(draw: Draw, stream: RandomStream): unknown {
  if ('choice' in draw) return stream.pick(draw.choice);
  if ('ints' in draw) return stream.integer(...draw.ints);
  if ('log' in draw) {
    const [from, to] = draw.log;
    const value = Number(Math.exp(stream.uniform(Math.log(from), Math.log(to))).toPrecision(4));
    return Math.min(to, Math.max(from, value));
  }
  const [from, to] = draw;
  const part = stream.integer(0, DIVISIONS) / DIVISIONS;
  return Number((from + part * (to - from)).toPrecision(12));
}

function joined(trial: Trial, values: Trial['values']): Trial {
  const { name, title } = trialOf(values, null);
  const join = (parts: string[], between: string) => parts.filter((part) => part !== '').join(between);
  return {
    name: shortened(join([trial.name, name], '_')),
    title: join([trial.title, title], ', '),
    values: { ...trial.values, ...values },
  };
}

/** @param title in the place of values in words */
function trialOf(values: Trial['values'], title: string | null): Trial {
  const parts = Object.entries(values).map(([option, value]) => [option, wordOf(value)]);
  const name = title === null ? parts.map((part) => safe(part.join('-'))).join('_') : safe(title);
  return { name: shortened(name), title: title ?? parts.map((part) => part.join(' ')).join(', '), values };
}

function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A part of a file's name; a hash tells apart what it would take for the same. */
function safe(text: string): string {
  const kept = text.replaceAll(/[^\w.+-]+/g, '-');
  return kept === text && !text.startsWith('.') ? text : `${kept.replace(/^\.+/, '')}-${digest(text)}`;
}

function shortened(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 9)}-${digest(name)}`;
}

function digest(text: string): string {
  return hash('sha256', text).slice(0, 8);
}
