import { choice, flag, grouped, integer, text, type ValuesOf, words } from '../../core/config/option.js';
import { CHECKPOINT, ENCODER_OPTIONS } from './evaluation.js';

const TO = {
  choices: ['hf', 'timm', 'onnx', 'safetensors', 'pth', 'checkpoint'] as const,
  help:
    'hf: a folder for transformers; timm: one for timm; onnx: one for transformers.js and ONNX Runtime; safetensors: ' +
    'weights by the names of the reference code; pth: all networks and the optimiser of I-JEPA for the reference code; ' +
    'checkpoint: the same for this program',
};

const ABOUT_FILE = {
  ...grouped('Model', {
    encoder: ENCODER_OPTIONS.encoder,
    heads: integer({ min: 1, help: 'attention heads', automatic: 'as the file says, or as is usual for its width' }),
    imageSize: integer({
      min: 1,
      unit: 'px',
      help: 'side of the images of its training',
      automatic: 'as the file says',
    }),
  }),
  ...grouped('Output', {
    head: text({
      optional: true,
      what: 'path',
      help: 'with hf and onnx: the head of a probe on this encoder, so that the model names its classes; the --out of the probe, or one of its heads',
    }),
    precision: words({
      choices: ['fp32', 'fp16', 'q8'],
      help: 'of onnx: what its models compute in, one or several with commas between; of safetensors: fp32 or fp16; none: fp32',
    }),
    force: flag('replace a model that is there'),
    json: flag('print one JSON document; everything else goes to standard error'),
  }),
};

export const EXPORT_OPTIONS = {
  model: CHECKPOINT,
  to: choice({ ...TO, required: true }),
  out: text({ what: 'folder', help: 'a new folder', required: true }),
  ...ABOUT_FILE,
};

export const CONVERT_OPTIONS = {
  model: CHECKPOINT,
  to: choice({ ...TO, optional: true }),
  out: text({ what: 'folder', help: 'a new folder, with --to', optional: true }),
  ...ABOUT_FILE,
};

export type ExportOptions = ValuesOf<typeof EXPORT_OPTIONS>;
export type ConvertOptions = ValuesOf<typeof CONVERT_OPTIONS>;
