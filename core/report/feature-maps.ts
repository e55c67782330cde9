import sharp from 'sharp';
import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { toNormalised } from '../data/normalise.js';
import { unreadableReason } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import type { FeatureNetwork } from '../eval/network.js';
import { featureLayers, prepareAttention, prepareFeatures, prepareTokens } from '../eval/prepare-features.js';
import { principalComponents, projectRows } from '../eval/principal.js';
import { featureColumns, type Samples } from '../eval/samples.js';
import { mostSimilar } from '../eval/search.js';
import { testView } from '../eval/views.js';
import { gridSize, isResNet, type VitSize } from '../nn/sizes.js';
import type { PictureFacts } from './facts.js';

/** Pictures that are computed at once. */
const TOGETHER = 16;
/** Most dimensions of a token that are kept, and most bytes of all tokens. */
const MOST_DIMENSIONS = 64;
const TOKEN_BYTES = 2 ** 20;
/** Neighbours of a picture that are told. */
const NEIGHBOURS = 8;
/** Largest side of a picture on the page, and the quality of its WebP. */
const PICTURE_SIDE = 224;
const QUALITY = 80;
/** Part of the values at each end that the colours do not tell apart. */
const CUT = 0.01;

/** A picture as the encoder sees it: RGB, [S, S, 3]. */
type Seen = { name: string; rgb: Uint8Array };

/**
 * What an encoder makes of some pictures: tokens as principal components over all of them, likeness of pictures, attention.
 * @param count pictures; chosen at random, the same ones for all runs on the same images
 * @param share part of the room for tokens, where a page shows several runs
 * @throws UserError if no picture can be read, or features are not finite numbers
 */
export async function pictureFacts(
  engine: Engine,
  network: FeatureNetwork,
  images: ImageCollection,
  { count, pixelLimit, share = 1 }: { count: number; pixelLimit: number; share?: number },
): Promise<PictureFacts> {
  const seen = await choosePictures(images, count, network.imageSize, pixelLimit);
  const rgb = seen.map((picture) => picture.rgb);
  const features = await computeAll(prepareFeatures(engine, network, togetherOf(rgb)), rgb); // [n, L D]
  requireFinite(features);
  const { size } = network;
  const last = featureColumns(samplesOf(features, rgb.length, featureLayers(network)), 'last'); // [n, D]
  return {
    pictures: await describePictures(seen, last, network.imageSize),
    patches: isResNet(size) ? null : await patchFacts(engine, network, size, rgb, TOKEN_BYTES * share),
  };
}

/** @param bytes that all tokens may take */
async function patchFacts(
  engine: Engine,
  network: FeatureNetwork,
  size: VitSize,
  rgb: readonly Uint8Array[],
  bytes: number,
) {
  const together = togetherOf(rgb);
  const tokens = await computeAll(prepareTokens(engine, network, together), rgb); // [n N, D]
  requireFinite(tokens);
  const attention = prepareAttention(engine, network, together);
  const weights = attention && (await computeAll(attention, rgb)); // [n, N]
  const grid = gridSize(network);
  const rows = rgb.length * grid ** 2;
  const samples = samplesOf(tokens, rows, 1);
  const dimensions = Math.min(samples.width, MOST_DIMENSIONS, Math.max(3, Math.floor(bytes / rows)));
  const components = await principalComponents(engine, samples, dimensions);
  const placed = projectRows(tokens, components); // [n N, K]
  const sum = (parts: readonly number[]) => parts.reduce((total, part) => total + part, 0);
  return {
    grid,
    dimensions,
    kept: sum(components.parts),
    keptByColours: sum(components.parts.slice(0, 3)),
    tokens: base64(signedBytes(placed, dimensions)),
    colours: base64(colourBytes(placed, dimensions)),
    attention: weights && base64(scaledBytes(weights, weights.length / rgb.length)),
    attentionNote: attentionNote(size, weights !== null),
  };
}

function togetherOf(rgb: readonly Uint8Array[]): number {
  return Math.min(TOGETHER, rgb.length);
}

function requireFinite(numbers: Float32Array): void {
  if (!numbers.every(Number.isFinite)) throw new UserError('its features are not finite numbers');
}

async function choosePictures(images: ImageCollection, count: number, imageSize: number, pixelLimit: number) {
  const order = new RandomStream(0, 'pictures of a report').permutation(images.length);
  const seen: Seen[] = [];
  let reason = 'there are none';
  for (let at = 0; at < order.length && seen.length < count; at++) {
    const item = images.item(order[at]);
    try {
      seen.push({
        name: item.place ?? item.name,
        rgb: await testView(item, { imageSize, transform: 'crop', pixelLimit }),
      });
    } catch (error) {
      reason = `${item.name}: ${unreadableReason(error)}`;
    }
  }
  if (seen.length === 0) throw new UserError(`none of the images in ${images.description} can be read: ${reason}`);
  return seen;
}

/** What a prepared network gives for pictures, one after the other. */
async function computeAll(prepared: ReturnType<typeof prepareTokens>, rgb: readonly Uint8Array[]) {
  const parts: Float32Array[] = [];
  try {
    for (let from = 0; from < rgb.length; from += TOGETHER) {
      parts.push(await prepared.compute(toNormalised(rgb.slice(from, from + TOGETHER))));
    }
  } finally {
    prepared.dispose();
  }
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}

/** Rows of features without classes, [n, L D]. */
function samplesOf(data: Float32Array, rows: number, layers: number): Samples {
  return { rows, width: data.length / rows / layers, layers, data, labels: new Int32Array(rows) };
}

async function describePictures(seen: readonly Seen[], features: Float32Array, imageSize: number) {
  const width = features.length / seen.length;
  const names = seen.map((_, at) => String(at)); // two pictures may have one name
  const table = { data: features, width, names, classes: null, facts: {} };
  return Promise.all(
    seen.map(async ({ name, rgb }, at) => {
      const query = features.subarray(at * width, (at + 1) * width);
      const found = mostSimilar(table, query, names[at], NEIGHBOURS);
      const nearest = found.map(({ row, similarity }) => ({ picture: row, similarity: Number(similarity.toFixed(4)) }));
      return { name, image: await address(rgb, imageSize), nearest };
    }),
  );
}

async function address(rgb: Uint8Array, side: number): Promise<string> {
  const picture = sharp(rgb, { raw: { width: side, height: side, channels: 3 } });
  const sized = side > PICTURE_SIDE ? picture.resize(PICTURE_SIDE, PICTURE_SIDE) : picture;
  const webp = await sized.webp({ quality: QUALITY }).toBuffer();
  return `data:image/webp;base64,${webp.toString('base64')}`;
}

/** Each token by its own largest coordinate, which leaves angles as they are: [n N, K] as -127..127. */
function signedBytes(tokens: Float32Array, dimensions: number): Int8Array {
  const bytes = new Int8Array(tokens.length);
  for (let start = 0; start < tokens.length; start += dimensions) {
    const token = tokens.subarray(start, start + dimensions);
    const largest = token.reduce((found, value) => Math.max(found, Math.abs(value)), Number.MIN_VALUE);
    bytes.set(
      Array.from(token, (value) => Math.round((127 * value) / largest)),
      start,
    );
  }
  return bytes;
}

/** The first three coordinates, each from its first to its last hundredth as 0..255: [n N, 3]. */
function colourBytes(tokens: Float32Array, dimensions: number): Uint8Array {
  const rows = tokens.length / dimensions;
  const bytes = new Uint8Array(3 * rows).fill(128);
  for (let colour = 0; colour < Math.min(3, dimensions); colour++) {
    const values = Float32Array.from({ length: rows }, (_, row) => tokens[row * dimensions + colour]);
    const sorted = values.toSorted();
    const [low, high] = [sorted[Math.floor(CUT * (rows - 1))], sorted[Math.ceil((1 - CUT) * (rows - 1))]];
    for (const [row, value] of values.entries()) {
      const part = high > low ? (value - low) / (high - low) : 0.5;
      bytes[3 * row + colour] = Math.round(255 * Math.max(0, Math.min(1, part)));
    }
  }
  return bytes;
}

/** Numbers from 0 on by the largest of each picture's, as 0..255. */
function scaledBytes(weights: Float32Array, perPicture: number): Uint8Array {
  const bytes = new Uint8Array(weights.length);
  for (let start = 0; start < weights.length; start += perPicture) {
    const own = weights.subarray(start, start + perPicture);
    const largest = own.reduce((found, value) => Math.max(found, value), Number.MIN_VALUE);
    bytes.set(
      Array.from(own, (value) => Math.round((255 * value) / largest)),
      start,
    );
  }
  return bytes;
}

function attentionNote(size: VitSize, isThere: boolean): string {
  if (isThere) {
    return size.classToken
      ? 'attention of the class token in the last block, mean over its heads'
      : 'attention that each patch gets from all patches in the last block, mean over its heads';
  }
  const reason = size.depth < 2 ? 'the encoder has one block only' : 'its attention has biases of positions';
  return `no attention is shown: ${reason}`;
}

function base64(bytes: Uint8Array | Int8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
