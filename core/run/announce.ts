import type { Console } from '../base/console.js';
import { NONE } from '../config/option.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf, modelSize } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
import { countParameters, encoderShapes, predictorShapes } from '../nn/parameters.js';
import type { ImageCollection } from '../plugin.js';
import { assumedMemory } from '../train/free-memory.js';

/** Says what a run is about to do: data, model, objective, engine, length. */
export function announce(
  console: Console,
  options: Options,
  run: { images: ImageCollection; engine: Engine; totalSteps: number; firstStep: number },
): void {
  const size = modelSize(options);
  const { encoder, predictor } = size;
  const millions = (count: number) => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} M`;
  const microBatchSize = microBatchSizeOf(options);
  const { maskGroup } = options;
  console.line(`data       ${run.images.length} images: ${run.images.description}`);
  for (const note of run.images.notes ?? []) console.warn(`note       ${note}`);
  console.line(
    `model      encoder ${encoder.dim} x ${encoder.depth}, ${encoder.heads} heads, ${millions(countParameters(encoderShapes(size)))} parameters; ` +
      `predictor ${predictor.dim} x ${predictor.depth}, ${millions(countParameters(predictorShapes(size)))}; ` +
      `${size.imageSize} px in patches of ${size.patchSize}`,
  );
  console.line(`objective  ${describeObjective(options)}`);
  console.line(
    `engine     ${run.engine.name} ${run.engine.version}, ${run.engine.device}, threads: ${run.engine.threads}` +
      (options.microBatchSize === null ? assumedMemory(run.engine.memory, options.memory) : ''),
  );
  console.line(
    `run        ${options.out}, seed ${options.seed}, ${options.epochs} epochs of batches of ${options.batchSize}` +
      `${microBatchSize < options.batchSize ? ` computed ${microBatchSize} at a time` : ''}` +
      `${maskGroup !== null && maskGroup < options.batchSize ? `, masks cut in groups of ${maskGroup}` : ''}, ${run.totalSteps} steps` +
      `${run.firstStep > 0 ? `, going on after step ${run.firstStep}` : ''}`,
  );
}

/** The loss, and whether there is a term against collapse. */
export function describeObjective({ loss, regularizer, regularizerWeight }: Options): string {
  return regularizer === NONE
    ? `${loss}, no term against collapse`
    : `${loss} + ${regularizerWeight} x ${regularizer}, a term against collapse that the paper does not have`;
}
