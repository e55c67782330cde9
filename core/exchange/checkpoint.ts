import { existsSync, statSync } from 'node:fs';
import { z } from 'zod';
import { explainSystemError, UserError, unknownName } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import { tryJson } from '../base/text.js';
import { FORMAT, requireChecksum } from '../checkpoint/checkpoint.js';
import { checkpointsByAge, checkpointsFolder, latestCheckpoint } from '../checkpoint/folder.js';
import { DamagedFile, readSafetensors, type TensorFile } from '../checkpoint/safetensors.js';
import { resNetSize } from '../nn/resnet.js';
import { type EncoderSize, LARGEST_GRID } from '../nn/sizes.js';
import { chooseNetwork, readBare } from './bare.js';
import { type AnyEncoderFile, type Given, takeEncoder } from './encoder-file.js';

const side = z.int().min(1);
/** More halve images of any size to nothing. */
const MOST_STAGES = 8;
const flag = z.boolean().optional();
const vitSchema = z.looseObject({
  dim: side,
  depth: side,
  heads: side,
  mlpRatio: z.number().positive(),
  classToken: flag,
  classFeatures: flag,
  layerScale: flag,
  relativePositions: flag,
  normEpsilon: z.number().positive().optional(),
});
const resNetSchema = z.looseObject({
  dim: side,
  depths: z.array(side).min(1).max(MOST_STAGES),
  width: side,
  selectiveKernels: flag,
});
/** What a checkpoint's metadata says of its model. */
const modelSchema = z
  .object({
    method: z.string().nullable(),
    encoders: z.record(z.string(), z.string()),
    imageSize: side,
    patchSize: side,
    sizes: z.looseObject({ encoder: z.union([resNetSchema, vitSchema]) }),
  })
  .refine(({ imageSize, patchSize, sizes: { encoder } }) => {
    const residual = resNetSchema.safeParse(encoder).data;
    if (residual) return residual.dim === resNetSize(residual.depths, residual.width).dim;
    const { dim, heads } = vitSchema.parse(encoder);
    const fits = imageSize % patchSize === 0 && imageSize / patchSize <= LARGEST_GRID;
    return fits && dim % 4 === 0 && dim % heads === 0;
  });

/**
 * Reads one of the encoders of a checkpoint, or of the newest one of a run. A file of tensors that says nothing of their
 * model is taken for an encoder by the reference code's names.
 */
export async function readCheckpoint(
  checkpoint: string,
  encoder: string | null,
  given: Given,
): Promise<AnyEncoderFile> {
  const path = checkpointFile(checkpoint);
  let prefix: string | undefined;
  const choose = (metadata: TensorFile['metadata']) => {
    const model = readModel(path, metadata.model);
    const names = Object.keys(model.encoders);
    const name = encoder ?? names[0];
    const network = model.encoders[name];
    if (network === undefined) throw unknownName('encoder', name, names, path);
    prefix = network === '' ? '' : `${network}.`;
    return { model, names, encoder: name, isUsualEncoder: name === names[0] };
  };
  let file: TensorFile;
  try {
    file = await readSafetensors(path, (name, metadata) => {
      if (metadata.model !== undefined && prefix === undefined) choose(metadata);
      return name.startsWith(prefix ?? '');
    });
    requireChecksum(path, file);
  } catch (error) {
    throw path !== checkpoint && error instanceof DamagedFile ? withOlder(error, checkpoint) : error;
  }
  if (file.metadata.model === undefined && file.metadata.format !== FORMAT) {
    return readBare(path, chooseNetwork(path, file.tensors, encoder), file.metadata, given);
  }
  const { model, names, ...chosen } = choose(file.metadata);
  const { method, imageSize, patchSize, sizes } = model;
  const size = { imageSize, patchSize, encoder: sizes.encoder as EncoderSize };
  const naming = { of: (name: string) => [`${prefix}${name}`], source: 'its metadata' };
  const whole = z.string().pipe(z.coerce.number()).pipe(z.int().min(0)).nullable().catch(null);
  const epochs = whole.parse(file.metadata.epoch);
  const pretrainedOn = file.metadata.data ?? null;
  return {
    size,
    ...takeEncoder(path, file.tensors, size, naming),
    facts: { weights: 'pretrained', method, ...chosen, epochs, pretrainedOn, checkpoint: path },
    names,
    notes: [],
  };
}

/** The file that was named, or the newest checkpoint of the run that was. */
export function checkpointFile(checkpoint: string): string {
  try {
    if (!statSync(checkpoint).isDirectory()) return checkpoint;
  } catch (error) {
    throw explainSystemError(error, checkpoint);
  }
  const latest = latestCheckpoint(checkpointsFolder(checkpoint));
  if (statSync(latest, { throwIfNoEntry: false })?.isFile()) return latest;
  const none = new UserError(`there is no checkpoint in the folder ${checkpoint} that is called latest`, {
    expected: 'a checkpoint (.safetensors), or the folder of a run that has saved one',
    remedy: 'name a checkpoint, or the folder that was given to pretrain as --out',
  });
  throw withOlder(none, checkpoint);
}

/** An error about a run's newest checkpoint, with the one before it as the remedy where there is one. */
function withOlder(error: UserError, run: string): UserError {
  const checkpoints = checkpointsFolder(run);
  const older = existsSync(checkpoints) ? checkpointsByAge(checkpoints)[1] : undefined;
  if (older === undefined) return error;
  const remedy = `name the one before it, ${older}, or go on with the run, which starts from that`;
  return new UserError(error.message, { ...error.advice, remedy }, { cause: error });
}

function readModel(path: string, text: string | undefined): z.infer<typeof modelSchema> {
  const model = modelSchema.safeParse(text === undefined ? undefined : tryJson(text));
  if (model.success) return model.data;
  throw new UserError(`${path} is not a checkpoint: its metadata does not describe a model`, {
    expected: `a file that \`${PROGRAM} pretrain\` wrote, or one with the same entry 'model' in its metadata`,
    remedy: 'name a checkpoint of pretraining, or the folder of its run',
  });
}
