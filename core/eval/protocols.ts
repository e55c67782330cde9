import type { FeatureKind, HeadNorm, ProbeProtocol } from '../contract/data-sets.js';
import { cosine } from '../optim/schedules.js';

/**
 * Linear evaluation on ImageNet-1K and its 1% subset (paper, appendix A.2): the configuration that the authors published
 * for VISSL. It has one learning rate, 0.1; the paper's text names 0.01, 0.05 and 0.001, which with the factors 1 and 0.1
 * would make 48 heads.
 */
export const LINEAR_PROTOCOL: ProbeProtocol = {
  optimiser: 'lars',
  epochs: 50,
  batchSize: 16_384,
  baseLearningRate: 0.1,
  schedule: { kind: 'steps', atEpochs: [15, 30, 45] },
  momentum: 0.9,
  nesterov: false,
  weightDecays: [0.0005, 0],
  learningRateFactors: [1, 0.1],
  features: ['last', 'last-4'],
  norms: ['batch', 'none'],
  transform: 'crop',
};

/**
 * On which images the best head of a grid is chosen. `validation`: a held-out tenth of the training images, after which
 * the chosen head alone is trained again on all of them, and nothing of the test images plays a part. `test`: the test
 * images themselves, as the paper does; of 16 heads on noise that alone is worth points.
 */
export const SELECTIONS = ['validation', 'test'] as const;
export type Selection = (typeof SELECTIONS)[number];

/** What tells a linear head from the others of a grid. */
export interface HeadChoice {
  features: FeatureKind;
  norm: HeadNorm;
  /** Multiplies the protocol's learning rate. */
  learningRateFactor: number;
  weightDecay: number;
}

/** All combinations of a protocol's grid. */
export function headChoices(protocol: ProbeProtocol): HeadChoice[] {
  return protocol.features.flatMap((features) =>
    protocol.norms.flatMap((norm) =>
      protocol.learningRateFactors.flatMap((learningRateFactor) =>
        protocol.weightDecays.map((weightDecay) => ({ features, norm, learningRateFactor, weightDecay })),
      ),
    ),
  );
}

/** A head in words: 'last, batch norm, lr 1x, wd 0.0005'. */
export function headName({ features, norm, learningRateFactor, weightDecay }: HeadChoice): string {
  return `${features}, ${norm === 'batch' ? 'batch norm' : 'no norm'}, lr ${learningRateFactor}x, wd ${weightDecay}`;
}

/** Heads of trained networks have then converged on small data: twenty times as many steps leave their accuracy as it is. */
const MIN_STEPS = 1000;
/** More classes have more to learn. */
const STEPS_PER_CLASS = 20;

/**
 * The same grid of heads, trained so that those of a trained network converge in a short time: SGD with Nesterov's momentum
 * on decorrelated features and a cosine to 0, at least 1000 steps and 20 for each class. More epochs than the protocol's
 * are taken only to reach 1000 steps. Batches are of 256 images at most, and of an eighth of the images where there are few
 * (16 at least). The learning rate of a batch is 1: no direction of decorrelated features has a variance above 1, so that it
 * is stable with any number of them.
 */
export function quickProtocol(of: ProbeProtocol, trainImages: number, classes: number): ProbeProtocol {
  const batchSize = Math.min(of.batchSize, 256, Math.max(16, Math.floor(trainImages / 8)));
  const steps = stepsPerEpoch(trainImages, batchSize);
  const longest = Math.max(of.epochs, Math.ceil(MIN_STEPS / steps));
  return {
    ...of,
    optimiser: 'sgd',
    momentum: 0.9,
    nesterov: true,
    decorrelated: true,
    epochs: Math.min(longest, Math.ceil(Math.max(MIN_STEPS, STEPS_PER_CLASS * classes) / steps)),
    batchSize,
    baseLearningRate: 256 / batchSize,
    schedule: { kind: 'cosine', finalPart: 0, by: 'steps' },
  };
}

/** Batches in an epoch; the last one has what is left. */
export function stepsPerEpoch(samples: number, batchSize: number): number {
  return Math.max(1, Math.ceil(samples / batchSize));
}

/**
 * Learning rate of a step: the base for 256 images, scaled in proportion to the batch, times the schedule.
 * @param step counted from 0 over all epochs
 * @param batch samples in the batches of an epoch, the last one aside
 */
export function learningRateAt(protocol: ProbeProtocol, step: number, stepsPerEpoch: number, batch: number): number {
  const { schedule } = protocol;
  const peak = (protocol.baseLearningRate * batch) / 256;
  if (schedule.kind === 'steps') {
    const reached = schedule.atEpochs.filter((epoch) => step >= epoch * stepsPerEpoch - 1e-6).length;
    return peak / 10 ** reached;
  }
  const passed = schedule.by === 'steps' ? step : step - (step % stepsPerEpoch);
  const progress = passed / (protocol.epochs * stepsPerEpoch);
  return peak * cosine(1, schedule.finalPart, progress);
}

/** How neighbours vote. */
export interface Voting {
  /** Numbers of neighbours, each a classifier of its own. */
  ks: readonly number[];
  /** T, by which a similarity s is divided: a vote has the weight exp(s / T) (Wu et al. 2018, section 3.4). */
  temperature: number;
}

/** As DINO has it (Caron et al. 2021, appendix F.1). */
export const USUAL_VOTING: Voting = { ks: [10, 20, 100, 200], temperature: 0.07 };
