import type { Console } from '../base/console.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { ImageCollection } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import type { Method, MethodDefinition } from '../methods/method.js';
import { countParameters } from '../nn/parameters.js';
import { assumedMemory, groupSize } from '../train/memory.js';

/** Says what a run is about to do: data, model, objective, engine, length. */
export function announce(
  console: Console,
  options: Options,
  run: {
    definition: MethodDefinition;
    method: Method;
    images: ImageCollection;
    engine: Engine;
    totalSteps: number;
    firstStep: number;
  },
): void {
  const { definition, method, images, engine, totalSteps, firstStep } = run;
  const millions = (count: number) => `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} M`;
  const networks = Object.entries(method.networks).filter(([, { role }]) => role.by === 'gradient');
  const described = networks.map(([name, { shapes }]) => {
    const size = method.sizes[name];
    const vit = size ? ` ${size.dim} x ${size.depth}, ${size.heads} heads` : '';
    return `${name}${vit}, ${millions(countParameters(shapes))} parameters`;
  });
  const microBatchSize = microBatchSizeOf(options);
  const group = groupSize(method, options.batchSize);
  console.line(`data       ${images.length} images: ${images.description}`);
  for (const note of images.notes ?? []) console.warn(`note       ${note}`);
  console.line(`method     ${definition.title}: ${definition.describe(options)}`);
  console.line(`model      ${described.join('; ')}; ${options.imageSize} px in patches of ${options.patchSize}`);
  console.line(
    `engine     ${engine.name} ${engine.version}, ${engine.device}, threads: ${engine.threads}` +
      (options.microBatchSize === null ? assumedMemory(engine.memory, options.memory) : ''),
  );
  console.line(
    `run        ${options.out}, seed ${options.seed}, ${options.epochs} epochs of batches of ${options.batchSize}` +
      `${microBatchSize < options.batchSize ? ` computed ${microBatchSize} at a time` : ''}` +
      `${group < options.batchSize ? `, masks cut in groups of ${group}` : ''}, ${totalSteps} steps` +
      `${firstStep > 0 ? `, going on after step ${firstStep}` : ''}`,
  );
}
