import { join } from 'node:path';
import { type Classifier, type ExportedEncoder, encoderGraph } from './encoder.js';
import type { OnnxPrecision } from './layers.js';
import { writeModel } from './model-file.js';

/** The names by which transformers.js looks for precisions. */
const FILE_NAMES: Readonly<Record<OnnxPrecision, string>> = {
  fp32: 'model.onnx',
  fp16: 'model_fp16.onnx',
  q8: 'model_quantized.onnx',
};

/** Bytes that no file exceeds: those of the format end at 2^31. */
const LARGEST_FILE = 2e9;

export interface OnnxOptions {
  precision: OnnxPrecision;
  /** Default: none, the output are the encoder's tokens. */
  classifier?: Classifier | null;
  /** Bytes of a file from which on weights are written to files beside it. Default: 2 GB. */
  largestFile?: number;
}

/**
 * Writes an encoder as an ONNX model, whole or not at all, for ONNX Runtime, transformers.js and others.
 * @param folder where it is to lie, 'onnx' for transformers.js
 * @returns `files`: the paths of what was written. `externalData`: of `config.json`, what has to be said of the model under
 *   `transformers.js_config`, `use_external_data_format`: how many files of weights lie beside it, by its name; empty where
 *   there are none
 * @throws UserError if a file cannot be written
 */
export async function writeOnnx(
  folder: string,
  encoder: ExportedEncoder,
  { precision, classifier = null, largestFile = LARGEST_FILE }: OnnxOptions,
): Promise<{ files: string[]; externalData: Record<string, number> }> {
  const name = FILE_NAMES[precision];
  const files = await writeModel(join(folder, name), encoderGraph(encoder, precision, classifier), largestFile);
  return { files, externalData: files.length === 1 ? {} : { [name]: files.length - 1 } };
}
