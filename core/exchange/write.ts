import { mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { UserError } from '../base/errors.js';
import { toFloat16 } from '../base/half.js';
import { type StoredTensor, type WrittenTensor, writeSafetensors } from '../checkpoint/safetensors.js';
import { MEAN, STD } from '../data/normalise.js';
import type { VitSize } from '../nn/sizes.js';
import { metadataOf, ONLY, timmName } from './bare.js';
import type { EncoderFile } from './encoder-file.js';
import { describe, namingOf } from './hugging-face.js';
import { metaTree } from './meta.js';
import { checkpointTensors } from './meta-state.js';
import { CONFIG, PROCESSOR, WEIGHTS } from './model-folder.js';
import { writeOnnx } from './onnx/write.js';
import { writeTorchFile } from './torch/write.js';
import { readWhole, wholeMetadata } from './whole.js';
import { labelsOf, noSuchModel, processorOf, type WriteOptions, withPositions, writeJson } from './written.js';

/** A form that an encoder can be written in. */
interface Form {
  /** The library that reads it, as model cards name it; null where there is no one library. */
  readonly library: string | null;
  readonly language: 'Python' | 'JavaScript' | 'sh';
  /** Writes into a folder that is there and empty. */
  write(encoder: EncoderFile, folder: string, how?: WriteOptions): Promise<void>;
  /** Lines of that language that use what was written. */
  usage(encoder: EncoderFile, folder: string, how?: WriteOptions): readonly string[];
}

/** By the words of `--to`. */
export const FORMS = {
  hf: {
    library: 'transformers',
    language: 'Python',
    write: writeHuggingFace,
    usage: ({ size }, folder, { classifier } = {}) =>
      classifier
        ? ['from transformers import pipeline', `print(pipeline('image-classification', '${folder}')('picture.jpg'))`]
        : [
            'from transformers import AutoImageProcessor, AutoModel',
            `processor = AutoImageProcessor.from_pretrained('${folder}')`,
            `model = AutoModel.from_pretrained('${folder}')`,
            `tokens = model(**processor(image, return_tensors='pt')).last_hidden_state`,
            `features = tokens${pooling(size.encoder, '[:, 0]', '[:, 1:]')}`,
          ],
  },
  timm: {
    library: 'timm',
    language: 'Python',
    write: writeTimm,
    usage: (_, folder) => [
      'import timm',
      `model = timm.create_model('local-dir:${folder}', pretrained=True).eval()`,
      'transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))',
      'features = model(transform(image)[None])',
    ],
  },
  onnx: {
    library: 'transformers.js',
    language: 'JavaScript',
    write: writeOnnxFolder,
    usage: ({ size }, folder, { precisions: [dtype] = ['fp32'], classifier } = {}) =>
      classifier
        ? [
            "import { pipeline } from '@huggingface/transformers';",
            `const classify = await pipeline('image-classification', '${asPath(folder)}', { dtype: '${dtype}' });`,
            "console.log(await classify('picture.jpg'));",
          ]
        : [
            "import { pipeline } from '@huggingface/transformers';",
            `const extract = await pipeline('image-feature-extraction', '${asPath(folder)}', { dtype: '${dtype}' });`,
            "const tokens = await extract('picture.jpg');",
            `const features = tokens${pooling(size.encoder, '.slice(null, 0)', '.slice(null, [1, null])')};`,
          ],
  },
  safetensors: {
    library: null,
    language: 'Python',
    write: writePlain,
    usage: (_, folder) => [
      'from safetensors.torch import load_file',
      `encoder.load_state_dict(load_file('${folder}/${WEIGHTS}'))`,
    ],
  },
  pth: {
    library: null,
    language: 'Python',
    write: async (encoder, folder) => writeTorchFile(join(folder, TORCH), metaTree(await wholeOf(encoder))),
    usage: (_, folder) => [
      'from src.helper import load_checkpoint  # of facebookresearch/ijepa',
      `load_checkpoint(device, '${folder}/${TORCH}', encoder, predictor, target_encoder, opt, scaler)`,
    ],
  },
  checkpoint: {
    library: null,
    language: 'sh',
    async write(encoder, folder) {
      const whole = await wholeOf(encoder);
      const metadata = wholeMetadata(whole, encoder.facts.pretrainedOn);
      await writeSafetensors(join(folder, CHECKPOINT), await checkpointTensors(whole), metadata);
    },
    usage: (_, folder) => [`ijepa pretrain PICTURES --out RUN --init-from ${folder}/${CHECKPOINT}`],
  },
} as const satisfies Record<string, Form>;

const TORCH = 'checkpoint.pth.tar';
const CHECKPOINT = 'checkpoint.safetensors';

/** The state of which an encoder is a part. */
async function wholeOf({ size, facts }: EncoderFile) {
  return readWhole(facts.checkpoint ?? '', size.encoder.heads);
}

/** A folder that transformers opens: `AutoModel.from_pretrained`. */
async function writeHuggingFace(
  encoder: EncoderFile,
  folder: string,
  { classifier }: WriteOptions = {},
): Promise<void> {
  const described = describe(encoder.size);
  if (!described) throw noSuchModel('transformers of Hugging Face', encoder);
  const { family, config } = described;
  if (classifier && family.classified === null) {
    throw new UserError(`a ${family.model} has no place for a head on the mean over patches`, {
      expected: 'an encoder without class token, or with layer scales',
      remedy: 'use --to onnx, or leave --head out',
    });
  }
  const naming = namingOf(family, classifier !== undefined);
  const tensors = new Map<string, StoredTensor>();
  for (const [parameter, { shape, data }] of withPositions(encoder)) {
    const names = naming.of(parameter);
    const part = data.length / names.length;
    for (const [at, name] of names.entries()) {
      tensors.set(name, {
        shape: [shape[0] / names.length, ...shape.slice(1)],
        data: data.subarray(at * part, (at + 1) * part),
      });
    }
  }
  if (classifier && family.classified) {
    const { weight, bias } = family.classified.weights(classifier, encoder.size.encoder.dim);
    tensors.set('classifier.weight', { shape: [bias.length, weight.length / bias.length], data: weight });
    tensors.set('classifier.bias', { shape: [bias.length], data: bias });
  }
  await writeSafetensors(join(folder, WEIGHTS), tensors, metadataOf(encoder.facts));
  const architectures = classifier && family.classified ? [family.classified.model] : config.architectures;
  await writeJson(join(folder, CONFIG), { ...config, architectures, ...labelsOf(classifier) });
  await writeJson(join(folder, PROCESSOR), processorOf(encoder.size.imageSize, classifier));
}

/** A folder that timm opens: `timm.create_model('local-dir:FOLDER', pretrained=True)`. */
async function writeTimm(encoder: EncoderFile, folder: string): Promise<void> {
  const { imageSize, patchSize, encoder: vit } = encoder.size;
  const { dim, depth, heads, classToken = false, layerScale = false, relativePositions = false, normEpsilon } = vit;
  if (relativePositions || normEpsilon !== undefined) throw noSuchModel('timm', encoder);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of withPositions(encoder)) {
    tensors.set(timmName(name), tensor);
  }
  const model_args = {
    img_size: imageSize,
    patch_size: patchSize,
    embed_dim: dim,
    depth,
    num_heads: heads,
    mlp_ratio: vit.mlpRatio,
    class_token: classToken,
    global_pool: vit.classFeatures ? 'token' : 'avg',
    fc_norm: false,
    ...(layerScale && { init_values: 1 }),
  };
  const pretrained_cfg = {
    tag: encoder.facts.method === 'I-JEPA' ? 'ijepa' : '',
    input_size: [3, imageSize, imageSize],
    fixed_input_size: true,
    interpolation: 'bicubic',
    crop_pct: 224 / 256,
    crop_mode: 'center',
    mean: MEAN,
    std: STD,
    num_classes: 0,
    first_conv: 'patch_embed.proj',
    classifier: 'head',
  };
  await writeSafetensors(join(folder, WEIGHTS), tensors, metadataOf(encoder.facts));
  await writeJson(join(folder, CONFIG), {
    architecture: 'vit_base_patch16_224',
    num_classes: 0,
    num_features: dim,
    global_pool: vit.classFeatures ? 'token' : 'avg',
    model_args,
    pretrained_cfg,
  });
}

/** A folder that transformers.js opens. ONNX Runtime and others open the models in its folder `onnx`. */
async function writeOnnxFolder(
  encoder: EncoderFile,
  folder: string,
  { precisions = ['fp32'], classifier }: WriteOptions = {},
): Promise<void> {
  const models = join(folder, 'onnx');
  await mkdir(models);
  const use_external_data_format: Record<string, number> = {};
  for (const precision of precisions) {
    const { externalData } = await writeOnnx(models, encoder, { precision, ...(classifier && { classifier }) });
    Object.assign(use_external_data_format, externalData);
  }
  // Of a model without a family it is only asked how it is run, and that is the same for all.
  const config = describe(encoder.size)?.config ?? { model_type: 'vit', architectures: ['ViTModel'] };
  await writeJson(join(folder, CONFIG), {
    ...config,
    ...labelsOf(classifier),
    'transformers.js_config': { use_external_data_format },
  });
  await writeJson(join(folder, PROCESSOR), processorOf(encoder.size.imageSize, classifier));
}

/** One file by the reference code's names, which says of which sizes they are; weights may be of half precision. */
async function writePlain(encoder: EncoderFile, folder: string, { precisions }: WriteOptions = {}): Promise<void> {
  const { imageSize, patchSize, encoder: vit } = encoder.size;
  const { method } = encoder.facts;
  const model = { method, encoders: { [ONLY]: '' }, imageSize, patchSize, sizes: { encoder: vit } };
  const metadata = { ...metadataOf(encoder.facts), model: JSON.stringify(model) };
  const tensors = new Map<string, WrittenTensor>(withPositions(encoder));
  if (precisions?.includes('fp16')) {
    // Not the positions: rounded ones would be taken for others than the sine-cosine ones.
    for (const [name, { shape, data }] of encoder.tensors) tensors.set(name, { shape, data: toFloat16(data) });
  }
  await writeSafetensors(join(folder, WEIGHTS), tensors, metadata);
}

/** How features are made of tokens, in the language of these words: the class token, or the mean over patches. */
function pooling({ classToken, classFeatures }: VitSize, ofClass: string, ofPatches: string): string {
  return classFeatures ? ofClass : `${classToken ? ofPatches : ''}.mean(1)`;
}

/** A folder as transformers.js tells it from the name of a model on the hub. */
function asPath(folder: string): string {
  return isAbsolute(folder) || folder.startsWith('.') ? folder : `./${folder}`;
}
