import { setImmediate } from 'node:timers/promises';
import { RandomStream } from '../base/random.js';
import type { Engine } from '../engine/contract.js';
import { gridSize } from '../nn/sizes.js';
import { type ExtractOptions, extractFeatures } from './features.js';
import type { LinearClassifier } from './linear.js';
import { prepareFits } from './logistic.js';
import type { FeatureNetwork } from './network.js';
import type { EvaluationResult } from './results.js';
import { type Inputs, type Samples, standardise } from './samples.js';
import { IGNORED, type MaskedData, type MaskedImages } from './segmentation-data.js';
import { countPixels, NO_CLASS, patchClasses, segmentationScore } from './segmentation-score.js';

/*
 * Linear segmentation: what the patch tokens of a frozen encoder tell of the class of each pixel.
 *
 * Letters: M images, N = g² patches of each, D width, C classes.
 */

/** Nothing is chosen; scikit-learn's default. */
const C = 1;
/** Numbers of the tokens that are learned from, 256 MB; a random part of the patches where there are more. */
const MOST_NUMBERS = 2 ** 26;

/**
 * Logistic regression on standardised patch tokens, with the class that most pixels of a patch have; then mean intersection
 * over union and accuracy of the pixels of the test images, at their masks' own size. Pictures are seen whole, as squares.
 * @param options rank 0 computes tokens alone
 * @throws UserError if an image cannot be read; the signal's reason if it is aborted
 */
export async function segmentationProbe(
  engine: Engine,
  network: FeatureNetwork,
  { description, classes, train, test }: MaskedData,
  options: Omit<ExtractOptions, 'views' | 'transform' | 'cache' | 'ranks' | 'onTokens'>,
  say: (what: string) => void,
): Promise<NonNullable<EvaluationResult['segmentation']>> {
  const { seed, signal } = options;
  const grid = gridSize(network);
  const classOf = new Int16Array(IGNORED + 1).fill(NO_CLASS);
  for (const [place, id] of classes.entries()) classOf[id] = place;
  const seen = { ...options, cache: null, views: 'test', transform: 'squash', maxUnreadable: 0 } as const;
  /** Hands on the tokens of each image, [N, D]. */
  const eachImage = async (images: MaskedImages, act: (index: number, tokens: Float32Array) => Promise<void>) => {
    let index = 0;
    const length = grid ** 2 * network.size.dim;
    const onTokens = async (tokens: Float32Array) => {
      for (let from = 0; from < tokens.length; from += length) await act(index++, tokens.subarray(from, from + length));
    };
    await extractFeatures(engine, network, images, { ...seen, onTokens });
  };

  say('patch tokens of the training images with masks');
  const samples = await patchSamples(network, train, classOf, seed, eachImage);
  say('logistic regression on patches');
  const classifier = await linearMap(engine, standardise(samples, 'last'), classes.length, signal);
  say('patch tokens of the test images with masks');
  const confusion = new Float64Array(classes.length ** 2);
  await eachImage(test, async (index, tokens) => {
    countPixels(patchLogits(classifier, tokens), grid, await test.mask(index), classOf, confusion);
    await setImmediate(); // lets timers and interrupts in
  });
  const { pixels, ...score } = segmentationScore(confusion);
  return {
    data: description,
    classes: [...classes],
    trainImages: train.length,
    testImages: test.length,
    patches: samples.rows,
    pixels,
    ...score,
  };
}

/** Tokens of patches with their classes: all, or a random part. */
async function patchSamples(
  network: FeatureNetwork,
  images: MaskedImages,
  classOf: Int16Array,
  seed: number,
  eachImage: (images: MaskedImages, act: (index: number, tokens: Float32Array) => Promise<void>) => Promise<void>,
): Promise<Samples> {
  const [grid, width] = [gridSize(network), network.size.dim];
  const perImage = grid ** 2;
  const known = new Int32Array(images.length * perImage);
  for (let index = 0; index < images.length; index++) {
    known.set(patchClasses(await images.mask(index), classOf, grid, network.patchSize), index * perImage);
  }
  const labelled = Uint32Array.from(known.keys()).filter((patch) => known[patch] !== NO_CLASS);
  const most = Math.floor(MOST_NUMBERS / width);
  const order = new RandomStream(seed, 'patches with masks').permutation(labelled.length);
  const chosen =
    labelled.length <= most ? labelled : Uint32Array.from(order.subarray(0, most), (at) => labelled[at]).sort();
  const data = new Float32Array(chosen.length * width);
  let row = 0;
  await eachImage(images, async (index, tokens) => {
    for (; row < chosen.length && chosen[row] < (index + 1) * perImage; row++) {
      const from = (chosen[row] - index * perImage) * width;
      data.set(tokens.subarray(from, from + width), row * width);
    }
  });
  return { rows: chosen.length, width, layers: 1, data, labels: Int32Array.from(chosen, (patch) => known[patch]) };
}

/** Logistic regression as a linear map of tokens as they are. */
async function linearMap(
  engine: Engine,
  inputs: Inputs,
  classes: number,
  signal?: AbortSignal,
): Promise<LinearClassifier> {
  const { standardiser } = inputs;
  if (!standardiser) throw new Error('tokens are not standardised');
  for await (const { weight, bias } of prepareFits(engine, classes, signal)(inputs, [C])) {
    const { mean, scale } = standardiser;
    const own = weight.map((value, at) => value * scale[Math.floor(at / classes)]); // [D, C]
    const moved = bias.map((value, label) => mean.reduce((sum, one, k) => sum - one * own[k * classes + label], value));
    return { weight: own, bias: moved };
  }
  throw new Error('nothing was fitted');
}

/** [N, D] -> [N, C] */
function patchLogits({ weight, bias }: LinearClassifier, tokens: Float32Array): Float64Array {
  const [classes, width] = [bias.length, weight.length / bias.length];
  const logits = new Float64Array((tokens.length / width) * classes);
  for (let at = 0; at < tokens.length; at++) {
    const [row, k] = [Math.floor(at / width) * classes, (at % width) * classes];
    for (let label = 0; label < classes; label++) logits[row + label] += tokens[at] * weight[k + label];
  }
  return logits.map((value, at) => value + bias[at % classes]);
}
