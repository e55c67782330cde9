import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import { round } from '../base/rounding.js';
import type { DataSet, ImageItem, LabelledImages, ProbeProtocol } from '../contract/data-sets.js';
import { classMembers } from '../data/info.js';
import type { Engine } from '../engine/contract.js';
import type { ImageEncoder } from '../nn/backbone.js';
import type { Parameters } from '../nn/parameters.js';
import { classify, usualNeighbours } from './classifiers.js';
import { labelsOfClass } from './few-labels.js';
import { openWithLabels, pickImages, requireTwoClasses } from './labelled-data.js';
import { pooledFeatures } from './pooled-features.js';
import type { Samples } from './samples.js';
import { testView, UnreadableList, viewBatches } from './views.js';

/** Most classes: of more, few images each would tell little, and logistic regression would take longer than features. */
const MOST_CLASSES = 100;
/** Of so many images in a row, class by class, the last one is judged and the others are learned from. */
const ONE_JUDGED_OF = 3;
/** Images that are decoded before it is asked whether to go on. */
const DECODED_TOGETHER = 64;
/** The last layer alone: a choice among layers would take five times as long. */
const LAYERS = 1;

/** The labelled images of an online probe, not yet read. */
export interface ProbeImages {
  readonly classes: readonly string[];
  /** Images to learn from, and others of the same classes to judge by. */
  readonly train: LabelledImages;
  readonly test: LabelledImages;
  /** As the data set's own evaluation sees images. */
  readonly view: Pick<ProbeProtocol, 'transform' | 'interpolation'>;
}

/**
 * Draws the images of an online probe: at most 100 classes, and of each the same part of its training images, so that all
 * are about as many as were asked for, and at least one of each. A third of them are judged. The test images of the data set are left
 * alone: what chooses a checkpoint must not look at them.
 * @param word names the data, as for an evaluation
 * @param count images that are wanted
 * @throws UserError as `openLabelled`, but that test images are not needed; or where hardly any image is there
 */
export async function openProbeImages(
  word: string,
  dataSets: readonly DataSet[],
  count: number,
  seed: number,
): Promise<ProbeImages> {
  const { dataSet, data } = await openWithLabels(word, dataSets);
  const { classes, train: all } = data;
  requireTwoClasses(word, all, classes);
  const members = classMembers(all, classes.length);
  const chosen = drawClasses(members, seed);
  const among = chosen.reduce((sum, label) => sum + members[label].length, 0);
  const fraction = Math.min(1, count / among);
  const drawn = chosen.flatMap((label) => {
    const own = members[label];
    const order = new RandomStream(seed, 'online probe', label).permutation(own.length);
    return Array.from(order.subarray(0, labelsOfClass({ fraction }, own.length)), (at) => own[at]);
  });
  const part = (isJudged: boolean, how: string): LabelledImages => {
    const isIn = (_: number, at: number) => (at % ONE_JUDGED_OF === ONE_JUDGED_OF - 1) === isJudged;
    const images = pickImages(all, drawn.filter(isIn), how);
    return { ...images, classOf: (index) => chosen.indexOf(images.classOf(index)) };
  };
  const [train, test] = [part(false, 'to learn from'), part(true, 'to judge by')];
  if (test.length === 0) {
    throw new UserError(`${word} has ${all.length} training images, too few for a probe of which a third is judged`, {
      expected: `${ONE_JUDGED_OF} labelled images or more, better some hundred`,
      remedy: 'name a larger data set with --probe, or leave it out',
    });
  }
  const named = chosen.map((label) => classes[label]);
  requireTwoClasses(word, train, named);
  const { transform = 'crop', interpolation = 'bicubic' } = dataSet.protocol ?? {};
  return { classes: named, train, test, view: { transform, interpolation } };
}

/** The numbers of the classes that have images; where there are too many, of some that are drawn. */
function drawClasses(members: readonly (readonly number[])[], seed: number): number[] {
  const there = [...members.keys()].filter((label) => members[label].length > 0);
  const order = new RandomStream(seed, 'online probe').permutation(there.length);
  return Array.from(order.subarray(0, MOST_CLASSES), (at) => there[at]).sort((a, b) => a - b);
}

/** What classifiers reach on an encoder's features: top-1 in percent. */
export interface ProbeResult {
  /** Logistic regression. */
  logistic: number;
  /** 20 nearest neighbours, or 10 where there are fewer than 20 images to learn from; null where there are fewer still. */
  neighbours: number | null;
}

/** A probe whose images lie in memory. */
export interface OnlineProbe {
  readonly images: { classes: number; train: number; test: number; bytes: number };
  /** Changes when the images do. */
  readonly fingerprint: string;
  /**
   * Judges an encoder as it is now, and changes nothing: logistic regression and nearest neighbours on the features of its
   * last layer, as evaluations measure them.
   * @param onBatch is told now and then that it gets on
   * @throws Error if features are not finite numbers; the signal's reason if it is aborted
   */
  judge(encoder: Parameters, onBatch?: () => void, signal?: AbortSignal): Promise<ProbeResult>;
}

interface ProbeSettings {
  /** Most images that are encoded at once. */
  together: number;
  pixelLimit: number;
  maxUnreadable: number;
  /** Ends reading early: there are fewer images then. */
  signal: AbortSignal;
}

/**
 * Reads the images of a probe once, each in its test view.
 * @throws UserError if more images than allowed cannot be read
 */
export async function readProbe(
  engine: Engine,
  backbone: ImageEncoder,
  { classes, train, test, view }: ProbeImages,
  { together, signal, ...settings }: ProbeSettings,
): Promise<OnlineProbe> {
  const viewSettings = { ...view, imageSize: backbone.imageSize, pixelLimit: settings.pixelLimit };
  const read = async (images: LabelledImages) => {
    const unreadable = new UnreadableList(images.length, settings.maxUnreadable);
    const plan = {
      turns: images.length,
      viewOf: (item: ImageItem) => testView(item, viewSettings),
      batchSize: DECODED_TOGETHER,
    };
    const views: Uint8Array[] = [];
    const labels: number[] = [];
    for await (const batch of viewBatches(images, plan, unreadable)) {
      views.push(...batch.rgb);
      labels.push(...batch.labels);
      if (signal.aborted) break;
    }
    return { views, labels: Int32Array.from(labels) };
  };
  const [known, asked] = [await read(train), await read(test)];
  const samplesOf = async ({ views, labels }: typeof known, encoder: Parameters, onBatch?: () => void) => {
    const data = await pooledFeatures(backbone, encoder, views, LAYERS, together, onBatch);
    return { rows: views.length, width: backbone.encoder.dim, layers: LAYERS, data, labels } satisfies Samples;
  };
  return {
    images: {
      classes: classes.length,
      train: known.views.length,
      test: asked.views.length,
      bytes: [...known.views, ...asked.views].reduce((sum, { length }) => sum + length, 0),
    },
    fingerprint: `${train.fingerprint} ${test.fingerprint}`,
    async judge(encoder, onBatch, signal) {
      const trained = await samplesOf(known, encoder, onBatch);
      const tested = await samplesOf(asked, encoder, onBatch);
      const { logistic, neighbours } = await classify(engine, trained, tested, classes.length, { signal });
      const usual = usualNeighbours(neighbours);
      return { logistic: round(logistic.top1.value, 4), neighbours: usual ? round(usual.top1.value, 4) : null };
    },
  };
}
