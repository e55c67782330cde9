import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { tryJson } from '../base/text.js';
import { readSafetensors } from '../checkpoint/safetensors.js';
import type { ImageShape, VitSize } from '../nn/sizes.js';
import { ENCODERS } from './bare.js';
import { isBuiltin } from './builtin.js';
import { checkpointFile } from './checkpoint.js';
import { isHubAddress } from './hub.js';
import { type MetaCheckpoint, metaCheckpoint } from './meta.js';
import { metaOfCheckpoint } from './meta-state.js';
import { CONFIG } from './model-folder.js';
import { isTorchFile, readTorchFile } from './torch/read.js';

/** What a checkpoint of I-JEPA says of itself; sizes were checked when its encoder was read. */
const modelSchema = z.looseObject({
  method: z.literal('I-JEPA'),
  sizes: z.looseObject({ encoder: z.custom<VitSize>(), predictor: z.custom<VitSize>() }),
  imageSize: z.int(),
  patchSize: z.int(),
});
const metadataSchema = z.object({
  model: z.string().transform(tryJson).pipe(modelSchema),
  epoch: z.coerce.number().pipe(z.int().min(0)),
  step: z.coerce.number().pipe(z.int().min(0)),
});

/**
 * Reads all networks of I-JEPA, and what the optimiser keeps, from a checkpoint of this program or of the reference code.
 * @param heads of the encoder, where the file does not tell them
 * @throws UserError if it is something else, such as an encoder alone
 */
export async function readWhole(path: string, heads: number | null): Promise<MetaCheckpoint> {
  if (isHubAddress(path) || isBuiltin(path) || existsSync(join(path, CONFIG))) throw notWhole(path);
  const file = checkpointFile(path);
  if (await isTorchFile(file)) return metaCheckpoint(file, await readTorchFile(file), heads);
  const { tensors, metadata } = await readSafetensors(file);
  const said = metadataSchema.safeParse(metadata);
  if (!said.success) throw notWhole(path);
  const { model, epoch, step } = said.data;
  const shape: ImageShape = { imageSize: model.imageSize, patchSize: model.patchSize };
  return metaOfCheckpoint(tensors, { sizes: { ...shape, ...model.sizes }, epoch, step });
}

/** What a checkpoint of this program says of such a state. */
export function wholeMetadata({ sizes, epoch, moments }: MetaCheckpoint, data: string | null): Record<string, string> {
  const { imageSize, patchSize, encoder, predictor } = sizes;
  const model = { method: 'I-JEPA', encoders: ENCODERS, imageSize, patchSize, sizes: { encoder, predictor } };
  return {
    step: String(moments?.step ?? 0),
    epoch: String(epoch),
    model: JSON.stringify(model),
    ...(data !== null && { data }),
  };
}

function notWhole(path: string): UserError {
  return new UserError(`${path} does not hold a whole state of I-JEPA`, {
    expected:
      'a checkpoint with encoder, predictor, target encoder and optimiser, of this program or of the reference code',
    remedy: 'name one; an encoder alone goes into the other forms',
  });
}
