import { count, formatBytes } from '../base/console.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { OnlineProbe } from '../eval/online-probe.js';
import { countParameters } from '../nn/parameters.js';
import { type EncoderSize, encoderName, isResNet } from '../nn/sizes.js';
import { assumedMemory, groupSize } from '../train/memory.js';
import type { Run } from './loop.js';

/** Says what a run is about to do: data, model, objective, engine, length. */
export function announce(run: Run, totalSteps: number, firstStep: number): void {
  const { options, definition, method, backbone, images, engine, console, ranks, probe } = run;
  const millions = (count: number) => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} M`;
  const networks = Object.entries(method.networks).filter(([, { role }]) => role.by === 'gradient');
  const described = networks.map(([name, { shapes }]) => {
    const size = method.sizes[name];
    return `${name}${size ? ` ${sizesInWords(size)}` : ''}, ${millions(countParameters(shapes))} parameters`;
  });
  const microBatchSize = microBatchSizeOf(options);
  const group = groupSize(method, options.batchSize);
  console.line(`data       ${images.length} images: ${images.description}`);
  for (const note of images.notes ?? []) console.warn(`note       ${note}`);
  console.line(`method     ${definition.title}: ${definition.describe(options)}`);
  console.line(
    `model      ${described.join('; ')}; ${options.imageSize} px${isResNet(backbone.encoder) ? '' : ` in patches of ${options.patchSize}`}`,
  );
  if (ranks.title !== null) {
    const share = Math.ceil(options.batchSize / ranks.size);
    console.line(`ranks      ${ranks.title}; ${share} images a rank, gradients travel in ${options.wire}`);
    if (ranks.note !== null) console.warn(`note       ${ranks.note}`);
  }
  console.line(
    `engine     ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}` +
      (options.microBatchSize === null ? assumedMemory(engine.memory, options.memory) : ''),
  );
  if (probe) console.line(`probe      ${probeInWords(options, probe)}`);
  const { imagesSeen, epochs, batchSize } = options;
  if (imagesSeen !== null) {
    const inEpoch = (totalSteps / epochs) * batchSize;
    const [seen, each] = [imagesSeen, inEpoch].map((images) => images.toLocaleString('en-US'));
    console.line(`length     about ${seen} images: ${count(epochs, 'epoch')} of ${each}`);
  }
  console.line(
    `run        ${options.out}, seed ${options.seed}, ${options.epochs} epochs of batches of ${options.batchSize}` +
      `${options.batchSize === images.length ? ', all images' : ''}` +
      `${microBatchSize < options.batchSize ? ` computed ${microBatchSize} at a time` : ''}` +
      `${options.recompute ? ', blocks recomputed for gradients' : ''}` +
      `${group < options.batchSize ? `, masks cut in groups of ${group}` : ''}, ${totalSteps} steps` +
      `${firstStep > 0 ? `, going on after step ${firstStep}` : ''}`,
  );
  if (isResNet(backbone.encoder) && microBatchSize < options.batchSize) {
    console.warn(
      `note       batch norm goes by the ${microBatchSize} images that are computed together: ` +
        'with another --micro-batch-size or number of ranks, the steps of a residual network are others',
    );
  }
}

function probeInWords(options: Options, { images: { classes, train, test, bytes } }: OnlineProbe): string {
  const { probe, probeEverySteps } = options;
  const often =
    probeEverySteps === null
      ? 'so seldom that it takes less than 5% of the time'
      : `every ${count(probeEverySteps, 'step')}`;
  return `${train} labelled images of ${classes} classes of ${probe}, and ${test} to judge by, ${formatBytes(bytes)} of pixels; ${often}`;
}

function sizesInWords(size: EncoderSize): string {
  return isResNet(size) ? encoderName(size, 1) : `${size.dim} x ${size.depth}, ${size.heads} heads`;
}
