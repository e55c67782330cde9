import { writeFileAtomically } from '../base/atomic.js';
import { UserError } from '../base/errors.js';
import type { StoredTensor } from '../checkpoint/safetensors.js';
import { MEAN, STD } from '../data/normalise.js';
import { sincosTable } from '../nn/positions.js';
import { gridSize } from '../nn/sizes.js';
import { type EncoderFile, POSITIONS } from './encoder-file.js';
import type { Classifier } from './onnx/encoder.js';
import type { OnnxPrecision } from './onnx/layers.js';

/* What the forms that are written have in common. */

export interface WriteOptions {
  /** Of `onnx`, and one of fp32 and fp16 of `safetensors`; default: fp32. */
  precisions?: readonly OnnxPrecision[] | undefined;
  /** A head on the encoder, for `hf` and `onnx`: what is written names classes, instead of giving features. */
  classifier?: NamedClassifier | undefined;
}

/** A linear classifier on the mean over patches, with the names of its classes and how it saw pictures. */
export interface NamedClassifier extends Classifier {
  readonly classes: readonly string[];
  readonly transform: 'crop' | 'squash';
  readonly interpolation: 'bilinear' | 'bicubic';
}

/** How a config.json names classes. */
export function labelsOf(classifier: NamedClassifier | undefined) {
  if (!classifier) return {};
  const { classes } = classifier;
  const id2label = Object.fromEntries(classes.entries());
  return { id2label, label2id: Object.fromEntries(classes.map((name, at) => [name, at])) };
}

/** How Python and JavaScript of Hugging Face make of a picture what our test view is. */
export function processorOf(side: number, { transform, interpolation }: Partial<NamedClassifier> = {}) {
  const isWhole = transform === 'squash';
  return {
    image_processor_type: 'BitImageProcessor',
    do_resize: true,
    size: isWhole ? { height: side, width: side } : { shortest_edge: Math.floor((side * 256) / 224) },
    resample: interpolation === 'bilinear' ? 2 : 3, // Pillow's numbers
    do_center_crop: !isWhole,
    crop_size: { height: side, width: side },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: MEAN,
    image_std: STD,
    do_convert_rgb: true,
  };
}

/** An encoder's parameters, with the positions that other programs keep among them: [1, N', D]. */
export function withPositions({ size, tensors, positions }: EncoderFile): Map<string, StoredTensor> {
  const { dim, classToken = false, relativePositions = false } = size.encoder;
  if (relativePositions) return new Map(tensors);
  const patches = positions ?? sincosTable(gridSize(size), dim);
  const first = classToken ? dim : 0; // a class token's are zeros
  const data = new Float32Array(first + patches.length);
  data.set(patches, first);
  return new Map<string, StoredTensor>([...tensors, [POSITIONS, { shape: [1, data.length / dim, dim], data }]]);
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}

export function noSuchModel(where: string, { facts }: EncoderFile): UserError {
  return new UserError(`${where} has no model with the parts of the encoder ${facts.encoder} of ${facts.checkpoint}`, {
    expected: 'absolute positions; a class token and layer scales both, or no layer scales',
    remedy: 'use --to safetensors, whose weights keep the names of the reference code',
  });
}
