import { setImmediate } from 'node:timers/promises';
import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { compileWhole, type Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Networks } from '../methods/method.js';
import type { VitSize } from '../nn/sizes.js';
import { learningRateAt, weightDecayAt } from '../optim/schedules.js';
import { namedClass, percentWithin, type Ranked, ranksOf } from './accuracy.js';
import type { AttentiveSettings } from './attentive-settings.js';
import { attentiveLogits, attentiveMethod, prepareAttentiveStep, type TokenPiece } from './attentive-step.js';
import type { TokenStore } from './token-store.js';

/*
 * The attentive probe: a cross-attention block with one learned query and a linear layer on the patch tokens of a frozen
 * encoder (V-JEPA, Bardes et al. 2024, section 4.3; CAE, Chen et al. 2022, judges so, too).
 *
 * Letters: M images, B of a batch, N patches, D width, C classes.
 */

/** Numbers of the tokens that are computed at once, 32 MB: what a step needs is a small multiple of it. */
const NUMBERS_AT_ONCE = 2 ** 23;

/**
 * Trains the probe on the training images, in a fresh order in every epoch, and judges the test images after each; the result
 * is that of the last epoch. The same tokens, seed and engine give the same bits.
 * @returns ranks and classes of the test images after the last epoch; `curve`: top-1 after each, percent
 * @throws UserError if a step gives no finite numbers; the signal's reason if it is aborted
 */
export async function trainAttentive(
  engine: Engine,
  size: VitSize,
  { train, test, classes }: { train: TokenStore; test: TokenStore; classes: number },
  settings: AttentiveSettings,
  options: {
    seed: number;
    onEpoch?: (epoch: number, epochs: number, top1: number) => void;
    signal?: AbortSignal | undefined;
  },
): Promise<Ranked & { curve: number[] }> {
  const { epochs, learningRate, weightDecay, finalWeightDecay, clip } = settings;
  const { seed, onEpoch, signal } = options;
  const batchSize = Math.min(settings.batchSize, train.rows);
  const imagesAtOnce = Math.max(1, Math.min(batchSize, Math.floor(NUMBERS_AT_ONCE / (train.patches * train.width))));
  const method = attentiveMethod(size, classes);
  const { start, step } = prepareAttentiveStep(engine, method, classes, clip);
  const logitsOf = compileWhole(engine, (networks: Networks, tokens: Tensor) =>
    tf.tidy(() => attentiveLogits(size, networks, tokens)),
  );
  const length = { stepsPerEpoch: Math.ceil(train.rows / batchSize), epochs, scheduleStretch: 1 };
  const rates = { startLearningRate: learningRate, learningRate, finalLearningRate: 0, warmupEpochs: 0 };
  const decays = { weightDecay, finalWeightDecay, weightDecaySchedule: 'cosine' } as const;
  const curve: number[] = [];
  let judged: Ranked = { ranks: new Int32Array(), predicted: new Int32Array() };
  let state = start(seed);
  const breathe = async () => {
    await setImmediate(); // lets timers and interrupts in
    signal?.throwIfAborted();
  };
  try {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = new RandomStream(seed, 'attentive order', epoch).permutation(train.rows);
      for (let from = 0; from < order.length; from += batchSize) {
        const batch = order.subarray(from, from + batchSize);
        const at = state.step + 1;
        const now = {
          learningRate: learningRateAt(at, rates, length),
          weightDecay: weightDecayAt(at, decays, length),
        };
        const taken = await step(state, piecesOf(train, batch, imagesAtOnce, breathe), batch.length, now);
        state = taken.state;
        if (!taken.isFinite) throw notFinite(at, taken.loss);
      }
      judged = { ranks: new Int32Array(test.rows), predicted: new Int32Array(test.rows) };
      const all = Uint32Array.from({ length: test.rows }, (_, at) => at);
      let start = 0;
      for await (const { tokens: values, shape, labels } of piecesOf(test, all, imagesAtOnce, breathe)) {
        const tokens = tf.tensor(values, [...shape]);
        const logits = await logitsOf(state.networks, tokens);
        judge(await logits.data(), labels, classes, judged, start);
        start += labels.length;
        tf.dispose([tokens, logits]);
      }
      curve.push(percentWithin(judged.ranks, 1));
      onEpoch?.(epoch + 1, epochs, curve[epoch]);
    }
  } finally {
    tf.dispose(state);
  }
  return { ...judged, curve };
}

/** Images of these numbers, some at once. @param breathe is awaited before each of them */
async function* piecesOf(
  { patches, width, labels, read }: TokenStore,
  numbers: Uint32Array,
  imagesAtOnce: number,
  breathe: () => Promise<void>,
): AsyncGenerator<TokenPiece> {
  for (let from = 0; from < numbers.length; from += imagesAtOnce) {
    await breathe();
    const some = numbers.subarray(from, from + imagesAtOnce);
    const own = Int32Array.from(some, (number) => labels[number]);
    yield { tokens: await read(some), shape: [some.length, patches, width], labels: own };
  }
}

/** Writes ranks and classes of some images, from place `start` on. */
function judge(
  logits: ArrayLike<number>,
  labels: Int32Array,
  classes: number,
  { ranks, predicted }: Ranked,
  start: number,
) {
  for (const [row, rank] of ranksOf(logits, labels, classes).entries()) {
    ranks[start + row] = rank;
    predicted[start + row] = namedClass(logits, row * classes, classes, labels[row], rank);
  }
}

function notFinite(step: number, loss: number): UserError {
  return new UserError(`attentive probe: step ${step} did not give finite numbers (loss ${loss})`, {
    expected: 'tokens and weights that are finite numbers',
    remedy: 'look whether the checkpoint itself is broken, with the linear heads alone',
  });
}
