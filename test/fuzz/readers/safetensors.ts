import assert from 'node:assert';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { loadCheckpoint, type RecordedModel } from '../../../core/checkpoint/checkpoint.js';
import { readSafetensors, writeSafetensors } from '../../../core/checkpoint/safetensors.js';
import { startEngine } from '../../../core/engine/start.js';
import { tf } from '../../../core/engine/tf.js';
import { openFeatureCache } from '../../../core/eval/features-cache.js';
import { readFeatures } from '../../../core/eval/features-file.js';
import { readHead } from '../../../core/eval/head-file.js';
import { classProbabilities } from '../../../core/eval/linear-head.js';
import type { FeatureNetwork } from '../../../core/eval/network.js';
import { readEncoder } from '../../../core/exchange/read.js';
import { decoderShapes, encoderShapes, type ParameterShapes } from '../../../core/nn/parameters.js';
import { parseWatchMemory } from '../../../core/run/watch.js';
import type { StateShapes } from '../../../core/train/state.js';
import { integerBytes } from '../bytes.js';
import { editedJson } from '../json.js';
import type { FuzzedReader } from '../reader.js';

/** A model with few weights. */
const ENCODER = { dim: 4, depth: 1, heads: 1, mlpRatio: 1 };
const MODEL: RecordedModel = {
  method: 'I-JEPA',
  encoders: { target: 'target_encoder', context: 'encoder' },
  imageSize: 4,
  patchSize: 2,
  sizes: { encoder: ENCODER, predictor: ENCODER },
};
const ENCODER_SHAPES = encoderShapes({ imageSize: 4, patchSize: 2, encoder: ENCODER });
const TRAINED_SHAPES = { encoder: ENCODER_SHAPES, predictor: decoderShapes(4, ENCODER, 4) };
/** Of a method that has a state of its own, too. */
const SHAPES: StateShapes = {
  networks: { ...TRAINED_SHAPES, target_encoder: ENCODER_SHAPES },
  slots: { first: TRAINED_SHAPES, second: TRAINED_SHAPES },
  own: { centre: [4] },
};

type Entries = Record<string, { dtype: string; shape: readonly number[] }>;
const floats = (shapes: ParameterShapes, prefix = ''): Entries =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [prefix + name, { dtype: 'F32', shape }]));
const WIDTH: Record<string, number> = { F32: 4, F64: 8, I32: 4, I64: 8, U8: 1 };

const ANY: Entries = {
  a: { dtype: 'F32', shape: [2, 3] },
  scalar: { dtype: 'F64', shape: [] },
  empty: { dtype: 'I32', shape: [0, 4] },
  whole: { dtype: 'I64', shape: [2] },
  bytes: { dtype: 'U8', shape: [3] },
};
const ENCODERS = { ...floats(ENCODER_SHAPES, 'encoder.'), ...floats(ENCODER_SHAPES, 'target_encoder.') };
const SLOTS = Object.entries(SHAPES.slots).flatMap(([slot, networks]) =>
  Object.entries(networks).flatMap(([network, own]) => Object.entries(floats(own, `optimizer.${slot}.${network}.`))),
);
const CHECKPOINT = {
  ...ENCODERS,
  ...floats(TRAINED_SHAPES.predictor, 'predictor.'),
  ...Object.fromEntries(SLOTS),
  ...floats(SHAPES.own, 'state.'),
};
const SAID = {
  format: 'ijepa-checkpoint-3',
  step: '3',
  epoch: '1',
  data: 'shapes:16',
  model: JSON.stringify(MODEL),
  memory: JSON.stringify({ first: { std: 1, rank: 2 }, monitors: { collapse: { best: 1 } }, verdicts: {} }),
};

/** The header and the bytes of tensors. */
function layOut(entries: Entries, metadata: Record<string, string>) {
  let end = 0;
  const header = Object.entries(entries).map(([name, { dtype, shape }]) => {
    const start = end;
    end += shape.reduce((product, side) => product * side, WIDTH[dtype] as number);
    return [name, { dtype, shape, data_offsets: [start, end] }];
  });
  const data = Uint8Array.from({ length: end }, (_, at) => (at % 4 === 3 ? 0x3f : at));
  const checksum = metadata.format === undefined ? {} : { sha256_file: BLANK };
  return { header: { __metadata__: { ...checksum, ...metadata }, ...Object.fromEntries(header) }, data };
}

/** Stands for the checksum of a file while that is computed. */
const BLANK = '0'.repeat(64);
const BEFORE_CHECKSUM = '{"__metadata__":{"sha256_file":"';

/** A file with a header and tensors; its checksum, where it has one, is right whatever the header says. */
function file(header: string, data: Uint8Array): Uint8Array {
  const text = Buffer.from(header);
  const length = integerBytes(text.length, 8);
  if (header.startsWith(BEFORE_CHECKSUM + BLANK)) {
    const hash = createHash('sha256').update(length).update(text).update(data);
    text.write(hash.digest('hex'), BEFORE_CHECKSUM.length);
  }
  return Buffer.concat([length, text, data]);
}

/** Files whose headers are right or edited. */
function files(entries: Entries, metadata: Record<string, string> = {}): fc.Arbitrary<Uint8Array> {
  const { header, data } = layOut(entries, metadata);
  return editedJson(fc.constant(header)).map((text) => file(text, data));
}

/** The same with edited sizes of the model, which are JSON within the metadata. */
function filesOfSizes(entries: Entries): fc.Arbitrary<Uint8Array> {
  return editedJson(fc.constant(MODEL)).map((model) => {
    const { header, data } = layOut(entries, { ...SAID, model });
    return file(JSON.stringify(header), data);
  });
}

/** What names an entry of the cache. */
const NETWORK: FeatureNetwork = {
  encoder: {},
  size: ENCODER,
  patchSize: MODEL.patchSize,
  imageSize: MODEL.imageSize,
  trainedImageSize: MODEL.imageSize,
  arch: 'ViT',
  facts: {
    weights: 'random',
    method: null,
    encoder: null,
    isUsualEncoder: true,
    epochs: null,
    pretrainedOn: null,
    checkpoint: null,
    fingerprint: 'x',
  },
  dispose() {},
};

/** Everything in a file's metadata that looks like a checksum. */
function checksums(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .filter(([, text]) => /^[0-9a-f]{64}$/.test(text))
    .join();
}

/** A file as the program writes it. */
async function writtenFile(): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'ijepa-fuzz-'));
  const path = join(folder, 'x.safetensors');
  const tensors = new Map([
    ['a', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ['b', { shape: [1], data: Float32Array.of(7) }],
  ]);
  await writeSafetensors(path, tensors, { note: 'text' });
  const bytes = await readFile(path);
  await rm(folder, { recursive: true });
  return bytes;
}

/** What a file holds, with its checksums. */
async function contentOf(path: string) {
  const { metadata, tensors } = await readSafetensors(path);
  const bytes = [...tensors.values()].map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return { checksums: checksums(metadata), bytes: Buffer.concat(bytes) };
}

/** Bytes under a checksum are never returned as others. */
function checksumReader(written: Uint8Array): FuzzedReader {
  let right: Awaited<ReturnType<typeof contentOf>> | undefined;
  return {
    name: 'safetensors-checksum',
    file: 'x.safetensors',
    inputs: fc.constant(written),
    async prepare(folder) {
      const path = join(folder, 'right.safetensors');
      await writeFile(path, written);
      right = await contentOf(path);
    },
    async read(path) {
      const content = await contentOf(path);
      if (content.checksums === right?.checksums) assert.deepEqual(content, right); // without one nothing is promised
    },
  };
}

const readers: readonly FuzzedReader[] = [
  {
    name: 'safetensors',
    file: 'x.safetensors',
    inputs: files(ANY, { note: 'text' }),
    async read(path) {
      const { tensors } = await readSafetensors(path);
      for (const { shape, data } of tensors.values()) {
        assert.equal(
          shape.reduce((product, side) => product * side, 1),
          data.length,
        );
      }
    },
  },
  {
    name: 'checkpoint',
    file: 'latest.safetensors',
    inputs: fc.oneof(files(CHECKPOINT, SAID), files({}, SAID)),
    async prepare() {
      await startEngine('cpu');
    },
    async read(path) {
      tf.engine().startScope();
      try {
        const { state, memory } = await loadCheckpoint(path, MODEL, SHAPES);
        parseWatchMemory(memory);
        assert(Number.isSafeInteger(state.step) && state.step >= 0);
      } finally {
        tf.engine().endScope();
      }
    },
  },
  {
    name: 'encoder',
    file: 'x.safetensors',
    inputs: fc.oneof(
      files(ENCODERS, SAID),
      files(ENCODERS, { model: SAID.model }), // of other programs, without a checksum
      filesOfSizes(ENCODERS),
      filesOfSizes({ ...ENCODERS, 'encoder.pos_embed': { dtype: 'F32', shape: [1, 4, 4] } }),
    ),
    async read(path) {
      const { tensors, size } = await readEncoder(path, 'context');
      assert.equal(tensors.size, Object.keys(encoderShapes(size)).length);
    },
  },
  {
    name: 'features-cache',
    file: 'x.safetensors',
    inputs: files({ rows: { dtype: 'I32', shape: [2] }, features: { dtype: 'F32', shape: [2, 4] } }),
    async read(path) {
      const folder = join(dirname(path), 'cache');
      const images = { description: 'x', length: 2, fingerprint: 'x', item: () => ({ name: 'x', source: 'x' }) };
      const open = () => openFeatureCache(folder, NETWORK, images, { views: 'test', transform: 'crop', seed: 0 });
      await mkdir(folder, { recursive: true });
      await open(); // makes the folder of the entry
      const [entry = ''] = await readdir(folder);
      await copyFile(path, join(folder, entry, 'rows-0-1-1.safetensors'));
      const cache = await open();
      for await (const { rows, features } of cache.pieces(1 << 20, 4)) {
        assert.equal(features.length, rows.length * 4);
        assert(rows.every((row) => row >= 0 && row < 1 << 20));
      }
    },
  },
  {
    name: 'features',
    file: 'x.safetensors',
    inputs: files(
      {
        tokens: { dtype: 'F32', shape: [2, 3, 4] },
        features: { dtype: 'F32', shape: [2, 4] },
        labels: { dtype: 'I32', shape: [2] },
      },
      { format: 'ijepa-features-1', names: '["a","b"]', classes: '["x","y"]' },
    ),
    async read(path) {
      const { data, width, names, classes } = await readFeatures(path);
      assert.equal(data.length, names.length * width);
      assert.equal(classes?.length ?? names.length, names.length);
    },
  },
  {
    name: 'head',
    file: 'x.safetensors',
    inputs: files(
      {
        mean: { dtype: 'F32', shape: [4] },
        weight: { dtype: 'F32', shape: [2, 4] },
        bias: { dtype: 'F32', shape: [2] },
      },
      {
        format: 'ijepa-head-1',
        features: 'last',
        transform: 'crop',
        interpolation: 'bicubic',
        classes: '["x","y"]',
      },
    ),
    async read(path) {
      const { head, classes } = await readHead(path);
      assert.equal(classProbabilities(head, new Float32Array(head.mean.length)).length, classes.length);
    },
  },
];

export async function safetensorsReaders(): Promise<readonly FuzzedReader[]> {
  return [...readers, checksumReader(await writtenFile())];
}
