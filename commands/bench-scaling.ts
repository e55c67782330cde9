import { formatBytes } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { round } from '../core/base/rounding.js';
import type { Wire } from '../core/base/wire.js';
import type { BenchmarkResult } from '../core/train/benchmark.js';
import { timeSum } from '../core/train/communicator/time-sum.js';
import { type Network, type Prediction, predictStep, type ScalingLaw, type StepCosts } from '../core/train/scaling.js';
import type { BenchOptions } from './options/bench.js';

/** The ranks for which a step is predicted, and what joins them. */
export interface Scaling {
  ranks: readonly number[];
  network: Network;
  wire: Wire;
}

/** Most ranks that are believed to be meant. */
const MAX_RANKS = 1_000_000;

const LAWS: Readonly<Record<ScalingLaw, string>> = {
  strong: 'the same batch on more ranks',
  weak: 'the same batch on each rank',
};

/**
 * What is to be predicted; null where nothing is.
 * @throws UserError for numbers that are none, or cannot be
 */
export function readScaling({ ranks, modelNetwork, wire }: BenchOptions): Scaling | null {
  if (ranks.length === 0) return null;
  const counts = ranks.map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= 1 && count <= MAX_RANKS)) {
    throw new UserError(`--ranks cannot be '${ranks.join(',')}'`, {
      expected: `whole numbers from 1 to ${MAX_RANKS}, such as 1,2,4,16`,
    });
  }
  const [gigabitsPerSecond, latencyMicroseconds, ...others] = modelNetwork.map(Number);
  const isNetwork =
    modelNetwork.map(Number).every(Number.isFinite) && gigabitsPerSecond > 0 && latencyMicroseconds >= 0;
  if (!isNetwork || others.length > 0) {
    throw new UserError(`--model-network cannot be '${modelNetwork.join(',')}'`, {
      expected: 'two numbers: Gbit/s above 0, then microseconds from 0, such as 10,30',
    });
  }
  return { ranks: counts, network: { gigabitsPerSecond, latencyMicroseconds }, wire };
}

/** Predicts the step that was measured, on more ranks; with what the prediction rests on. */
export async function predictScaling(result: BenchmarkResult, images: number, { ranks, network, wire }: Scaling) {
  const { secondsPerStep, updateSeconds, parameters } = result;
  const costs: StepCosts = {
    images,
    computeSeconds: secondsPerStep - updateSeconds,
    fixedSeconds: updateSeconds,
    numbers: parameters,
    wire,
    secondsPerNumber: await timeSum(wire),
  };
  const predict = (law: ScalingLaw) => ranks.map((count) => predictStep(costs, network, count, law));
  return { costs, network, strong: predict('strong'), weak: predict('weak') };
}

export function describeScaling(
  { costs, network, ...laws }: Awaited<ReturnType<typeof predictScaling>>,
  ranks: readonly number[],
): string {
  const { numbers, wire, fixedSeconds, secondsPerNumber } = costs;
  const { gigabitsPerSecond, latencyMicroseconds } = network;
  const lines = [
    `  predicted   for ${gigabitsPerSecond} Gbit/s and ${latencyMicroseconds} µs: ${(numbers / 1e6).toFixed(2)} million gradients in ${wire}, ` +
      `own sum ${(secondsPerNumber * 1e9).toFixed(2)} ns each, updates ${fixedSeconds} s`,
  ];
  for (const [law, title] of Object.entries(LAWS)) {
    lines.push(`  ${title}`, row('ranks', 'batch', 's a step', 'exchange', 'images/s', 'efficiency', 'sent by a rank'));
    for (const [at, prediction] of laws[law as ScalingLaw].entries()) lines.push(describeRow(prediction, ranks[at]));
  }
  return lines.join('\n');
}

function describeRow(prediction: Prediction | null, ranks: number): string {
  if (!prediction) return row(`${ranks}`, '-', 'fewer images than ranks');
  const { batchSize, secondsPerStep, exchangeSeconds, imagesPerSecond, efficiency, sentBytes } = prediction;
  const seconds = [secondsPerStep, exchangeSeconds].map((value) => `${round(value, 4)}`);
  const share = `${(100 * efficiency).toFixed(0)}%`;
  return row(`${ranks}`, `${batchSize}`, ...seconds, `${round(imagesPerSecond, 2)}`, share, formatBytes(sentBytes));
}

function row(ranks: string, ...cells: readonly string[]): string {
  return `  ${ranks.padStart(7)}${cells.map((cell) => `  ${cell.padStart(10)}`).join('')}`;
}
