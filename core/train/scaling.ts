import { WIRE_FORMATS, type Wire } from '../base/wire.js';
import { BUCKET } from './communicator/sum.js';

/** A step as one rank takes it alone. */
export interface StepCosts {
  /** Images of its batch. */
  images: number;
  /** Seconds of what grows with the images: passes forward and backward. */
  computeSeconds: number;
  /** Seconds of what does not: updates of the weights, moving averages. */
  fixedSeconds: number;
  /** Numbers of all gradients. */
  numbers: number;
  wire: Wire;
  /** Seconds that a rank itself works on each number of a sum: copies, conversions, additions. */
  secondsPerNumber: number;
}

/** What joins the ranks, seen from one of them: it sends and receives at the same time, at full speed. */
export interface Network {
  gigabitsPerSecond: number;
  latencyMicroseconds: number;
}

/** What stays the same with more ranks: the whole batch (strong scaling), or the batch of each rank (weak scaling). */
export type ScalingLaw = 'strong' | 'weak';

export type Prediction = NonNullable<ReturnType<typeof predictStep>>;

/** Small all-gathers of a step: the lengths and values of what ranks log, and of what they tell one another. */
const SMALL_GATHERS = 4;

/**
 * The step on N ranks. A rank computes c ⌈B/N⌉/B + f seconds (strong) or c + f (weak), and exchanges gradients for as long as
 * `exchangeSeconds` says; no computing hides that.
 * @returns null where there are fewer images than ranks; efficiency: images a second and rank, in units of those of one rank
 */
export function predictStep(costs: StepCosts, network: Network, ranks: number, law: ScalingLaw) {
  const { images, computeSeconds, fixedSeconds } = costs;
  if (law === 'strong' && images < ranks) return null;
  const share = law === 'strong' ? Math.ceil(images / ranks) / images : 1;
  const batchSize = law === 'strong' ? images : images * ranks;
  const exchange = exchangeSeconds(costs, network, ranks);
  const secondsPerStep = computeSeconds * share + fixedSeconds + exchange;
  const imagesPerSecond = batchSize / secondsPerStep;
  const alone = images / (computeSeconds + fixedSeconds);
  return {
    ranks,
    batchSize,
    secondsPerStep,
    exchangeSeconds: exchange,
    imagesPerSecond,
    efficiency: imagesPerSecond / ranks / alone,
    sentBytes: sentBytes(costs, ranks),
  };
}

/**
 * Bytes of gradients that a rank sends in a step: to each other rank its piece of them, then the sum of its own,
 * 2 n w (N - 1) / N for n numbers of w bytes.
 */
function sentBytes({ numbers, wire }: StepCosts, ranks: number): number {
  return (2 * numbers * WIRE_FORMATS[wire].bytes * (ranks - 1)) / ranks;
}

/**
 * Seconds of the exchange, as `sumOverRanks` does it. For each bucket: an all-to-all (pairwise), the own sum, an all-gather
 * (by a ring), each of N - 1 messages that follow one another. One bucket travels while the one before it is summed, and
 * the network carries one operation at a time.
 */
function exchangeSeconds(costs: StepCosts, { gigabitsPerSecond, latencyMicroseconds }: Network, ranks: number): number {
  if (ranks === 1) return 0;
  const bucketCount = Math.ceil(costs.numbers / BUCKET);
  const latency = ((ranks - 1) * latencyMicroseconds) / 1e6;
  const bytes = sentBytes(costs, ranks) / 2 / bucketCount;
  const travel = latency + (bytes * 8) / (gigabitsPerSecond * 1e9);
  const sum = (costs.numbers / bucketCount) * costs.secondsPerNumber;
  let networkFree = travel;
  let arrived = travel;
  let left = 0;
  for (let bucket = 1; bucket <= bucketCount; bucket++) {
    const summed = Math.max(arrived, left) + sum;
    if (bucket < bucketCount) networkFree = arrived = Math.max(networkFree, arrived) + travel;
    networkFree = left = Math.max(networkFree, summed) + travel;
  }
  return left + SMALL_GATHERS * latency;
}
