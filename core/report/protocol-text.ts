import type { EvaluationTask } from '../eval/evaluate.js';
import type { FineTuneSettings } from '../eval/fine-tune-settings.js';
import type { ProbeProtocol } from '../plugin.js';

/** A protocol in full, for people: nothing that decides a number is left out. */
export function protocolText({ protocol, protocolName, views, seed }: EvaluationTask): string[] {
  const { optimiser, momentum, nesterov, epochs, batchSize, baseLearningRate, transform } = protocol;
  const inputs = protocol.features.map((kind) => (kind === 'last' ? 'last layer' : 'last four layers side by side'));
  const norms = protocol.norms.map((norm) => (norm === 'batch' ? 'batch norm and linear' : 'linear'));
  const count = inputs.length * norms.length * protocol.learningRateFactors.length * protocol.weightDecays.length;
  const seen = {
    crop: ['random resized crop (0.08-1 of the area, bicubic) and flip', 'resized, centre crop'],
    squash: ['resized to a square, flip', 'resized to a square'],
  }[transform] as [string, string];
  return [
    `protocol   ${protocolName}, seed ${seed}`,
    `  heads    ${count}, side by side: {${inputs.join('; ')}} x {${norms.join('; ')}}` +
      ` x learning rate {${protocol.learningRateFactors.map((factor) => `${factor}x`).join(', ')}}` +
      ` x weight decay {${protocol.weightDecays.join(', ')}}; the best is reported`,
    `  training ${optimiser.toUpperCase()}, momentum ${momentum}${nesterov ? ' (Nesterov)' : ''}, ${epochs} epochs, ` +
      `batches of ${batchSize}, learning rate ${rounded((baseLearningRate * batchSize) / 256)} ` +
      `(${rounded(baseLearningRate)} for 256 images), ${scheduleText(protocol)}`,
    `  images   training: ${views === 0 ? `${seen[1]}, the same in every epoch` : `${seen[0]}, ${views} views of each`}; ` +
      `test: ${seen[1]}`,
  ];
}

/** Fine-tuning in full, for people. */
export function fineTuningText(settings: FineTuneSettings): string[] {
  const { epochs, warmupEpochs, baseLearningRate, batchSize, layerDecay, weightDecay } = settings;
  return [
    `  tuning   the whole encoder with a linear head on its average-pooled, layer-normed patches: AdamW, ${epochs} epochs, ` +
      `${warmupEpochs} of them warm-up, then a cosine to 0; learning rate ${baseLearningRate} for 256 images, batches of ` +
      `${batchSize} (or all images), layer-wise decay ${layerDecay}, weight decay ${weightDecay}, random crops and flips`,
  ];
}

function scheduleText({ schedule }: ProbeProtocol): string {
  if (schedule.kind === 'cosine') return `along a cosine down to ${rounded(schedule.finalPart)} of it`;
  return `divided by 10 at epochs ${schedule.atEpochs.map(rounded).join(', ')}`;
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}
