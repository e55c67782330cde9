import type { Console, TransferProgress } from '../base/console.js';
import type { ProbeProtocol } from '../contract/data-sets.js';
import type { EvaluationTask } from '../eval/evaluate.js';
import { type FineTuneProtocol, type FineTuneSettings, stepRate } from '../eval/fine-tune-settings.js';
import type { EvaluationProgress } from '../eval/progress.js';
import { headChoices, type Selection } from '../eval/protocols.js';

const VIEWS = {
  crop: { train: 'random resized crop (0.08-1 of the area) and flip', test: 'resized, centre crop' },
  squash: { train: 'resized to a square, flip', test: 'resized to a square' },
} as const;

const CHOICES: Readonly<Record<Selection, string>> = {
  validation: 'the best head on a held-out tenth of the training images, then trained on all of them',
  test: 'the best head on the test images, as in the paper',
};

/** A protocol in full, for people: nothing that decides a number is left out. */
export function protocolText({ protocol, protocolName, views, selection, seed }: EvaluationTask): string[] {
  const { optimiser, momentum, nesterov, epochs, batchSize, baseLearningRate, transform } = protocol;
  const { learningRateFactors, weightDecays, decorrelated, interpolation = 'bicubic' } = protocol;
  const inputs = protocol.features.map((kind) => (kind === 'last' ? 'last layer' : 'last four layers side by side'));
  const norms = protocol.norms.map((norm) => (norm === 'batch' ? 'batch norm and linear' : 'linear'));
  const factors = learningRateFactors.map((factor) => `${factor}x`).join(', ');
  const view = VIEWS[transform];
  const training = views === 0 ? `${view.test}, the same in every epoch` : `${view.train}, ${views} views of each`;
  return [
    `protocol   ${protocolName}, seed ${seed}`,
    `  heads    ${headChoices(protocol).length}, side by side: {${inputs.join('; ')}} x {${norms.join('; ')}}` +
      ` x learning rate {${factors}} x weight decay {${weightDecays.join(', ')}}`,
    `  choice   ${CHOICES[selection]}`,
    `  training ${decorrelated ? 'features standardised and decorrelated; ' : ''}${optimiser.toUpperCase()}, ` +
      `momentum ${momentum}${nesterov ? ' (Nesterov)' : ''}, ${epochs} epochs, batches of ${batchSize}, ` +
      `learning rate ${rounded((baseLearningRate * batchSize) / 256)} (${rounded(baseLearningRate)} for 256 images), ` +
      scheduleText(protocol),
    `  images   training: ${training}; test: ${view.test}; ${interpolation}`,
  ];
}

/** Fine-tuning in full, for people. */
export function fineTuningText(
  { protocol, settings }: { protocol: FineTuneProtocol; settings: FineTuneSettings },
  { data, protocol: { transform } }: EvaluationTask,
): string[] {
  const { epochs, warmupEpochs, finalLearningRate, rateAt, batchSize, layerDecay, weightDecay } = settings;
  const { baseLearningRate, labelSmoothing, randAugment } = settings;
  const names = { paper: 'paper', small: 'small', own: 'with changes of your own' };
  const batch = Math.min(batchSize, data.train.length);
  const rate = stepRate(settings, batch);
  const batches = `batches of ${batch}${batch < batchSize ? ` (all images there are, not ${batchSize})` : ''}`;
  return [
    `tuning     ${names[protocol]}, seed ${settings.seed}`,
    `  network  the whole encoder, and a linear head on its features, of the last layer (first weights of ` +
      `standard deviation ${rounded(settings.headStd)}); cross-entropy, label smoothing ${labelSmoothing}`,
    `  training ADAMW, ${epochs} epochs, ${batches}, learning rate ${rounded(rate)} ` +
      `(${rounded(baseLearningRate)} for 256 images), ${warmupEpochs} epochs of warm-up from 0, then along a cosine to ` +
      `${rounded(Math.min(rate, finalLearningRate))}, taken at the ${rateAt} of a step; layer-wise decay ${layerDecay}, weight decay ${weightDecay}`,
    `  images   training: ${VIEWS[transform].train}, RandAugment: ${randAugment}`,
  ];
}

function scheduleText({ schedule }: ProbeProtocol): string {
  if (schedule.kind === 'cosine') {
    return `along a cosine down to ${rounded(schedule.finalPart)} of it, by ${schedule.by ?? 'epochs'}`;
  }
  return `divided by 10 at epochs ${schedule.atEpochs.map(rounded).join(', ')}`;
}

/** Four digits; small numbers as 3e-5. */
function rounded(value: number): string {
  const short = Number(value.toPrecision(4));
  return short !== 0 && Math.abs(short) < 1e-3 ? short.toExponential() : String(short);
}

/** Seconds between two lines about the heads. */
const INTERVAL = 10;

/** Says which part of an evaluation is done and how far it is; `stop` ends what is being shown. */
export function showEvaluation(console: Console): EvaluationProgress & { stop(): void } {
  let what = '';
  let images: TransferProgress | undefined;
  let lastLine = performance.now();
  const stop = () => {
    images?.stop();
    images = undefined;
  };
  return {
    stage(name) {
      stop();
      what = name;
      lastLine = performance.now();
      console.line(`  ${name}`);
    },
    images(done, total) {
      images ??= console.transfer('  computed', 'images');
      images.update(done, total);
    },
    epoch(epoch, epochs, bestTop1) {
      const now = performance.now();
      if (now - lastLine < INTERVAL * 1000 && epoch !== epochs) return;
      lastLine = now;
      console.line(`  ${what}: epoch ${epoch}/${epochs}, best top-1 so far ${bestTop1.toFixed(1)}%`);
    },
    stop,
  };
}
