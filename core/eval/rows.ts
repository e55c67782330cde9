import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import type { ImageItem, LabelledImages } from '../contract/data-sets.js';
import { toNormalised } from '../data/normalise.js';
import type { Engine } from '../engine/contract.js';
import { bytesOf } from '../train/communicator/arrays.js';
import { ALONE, gatherJson, type Ranks, SharedError } from '../train/communicator/ranks.js';
import type { CacheSettings } from './features-cache.js';
import type { FeatureNetwork } from './network.js';
import { prepareFeatures, prepareTokens } from './prepare-features.js';
import { testView, trainView, type UnreadableImage, type UnreadableList, viewBatches } from './views.js';

export interface RowOptions extends CacheSettings {
  /** Rows that are computed at once. */
  batchSize: number;
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number;
  /** Images of more pixels than this cannot be read. */
  pixelLimit: number;
  /** Fraction of the images that may be unreadable; they get no row. Default: 0. */
  maxUnreadable?: number;
  /** Ends the extraction after the batch that is being computed, on all ranks. */
  signal?: AbortSignal;
  /** The processes that compute rows together; default: this one is alone. */
  ranks?: Ranks;
}

/** Rows that were computed together, B of them: their numbers in the table, and features [B, L D] or tokens [B, N D]. */
export type ComputedRows = { rows: Int32Array; values: Float32Array };

/** What a rank tells the others after its batch of a round; the values travel beside it. */
interface News {
  rows: readonly number[];
  unreadable: readonly (readonly [index: number, image: UnreadableImage])[];
  /** Whether it was asked to stop. */
  isStopped: boolean;
}

const NONE: ComputedRows = { rows: new Int32Array(), values: new Float32Array() };

/** Views of an image, each of which has a row. */
export function viewsOfImage(views: CacheSettings['views']): number {
  return views === 'test' ? 1 : views;
}

/**
 * Computes rows in rounds: in each the ranks compute a batch each, and every one has what all have computed. Batches are
 * filled to one size, so that an image gives the same bits in whichever it is.
 *
 * Images are decoded in sharp's threads while the engine computes the batch before; at most two batches of them wait.
 * @param wanted the numbers of the rows, the same on all ranks
 * @param kind features of the last layers, or patch tokens of the last one
 * @param unreadable takes note of images that cannot be read
 * @returns batches with at least a row, in the order of `wanted`
 * @throws on all ranks at the same time: UserError if more images than allowed cannot be read; an error named AbortError
 *   if one of them was asked to stop
 */
export async function* computeRows(
  engine: Engine,
  network: FeatureNetwork,
  images: LabelledImages,
  wanted: Int32Array,
  kind: 'features' | 'tokens',
  options: RowOptions,
  unreadable: UnreadableList,
): AsyncGenerator<ComputedRows> {
  if (wanted.length === 0) return;
  const { batchSize, signal, ranks = ALONE } = options;
  const perRound = ranks.size * batchSize;
  const own = wanted.filter((_, at) => Math.floor(at / batchSize) % ranks.size === ranks.rank);
  const prepare = kind === 'tokens' ? prepareTokens : prepareFeatures;
  const { compute, dispose } = prepare(engine, network, Math.min(batchSize, wanted.length));
  let noted: News['unreadable'][number][] = [];
  const list = { add: (index: number, image: UnreadableImage) => void noted.push([index, image]) };
  const batches = viewBatches(images, planOf(own, network, options), list);
  const nextRows = async (): Promise<ComputedRows> => {
    ranks.phase('reading images');
    const { value } = await batches.next();
    ranks.phase('computing');
    if (!value || value.turns.length === 0) return NONE;
    const rows = Int32Array.from(value.turns, (turn) => own[turn]);
    return { rows, values: await compute(toNormalised(value.rgb)) };
  };
  try {
    for (let from = 0; from < wanted.length; from += perRound) {
      const computed = signal?.aborted ? NONE : await nextRows();
      const told = { unreadable: noted, isStopped: signal?.aborted === true };
      noted = [];
      const all = await exchange(ranks, computed, told);
      for (const { news } of all) note(unreadable, news.unreadable, ranks);
      for (const { batch } of all) if (batch.rows.length > 0) yield batch;
      if (!all.some(({ news }) => news.isStopped)) continue;
      throw signal?.aborted ? signal.reason : new DOMException('another rank was asked to stop', 'AbortError');
    }
  } finally {
    await batches.return();
    dispose();
  }
}

function planOf(own: Int32Array, { imageSize }: FeatureNetwork, options: RowOptions) {
  const { views, seed } = options;
  const perImage = viewsOfImage(views);
  const settings = { ...options, imageSize };
  const imageAt = (turn: number) => Math.floor(own[turn] / perImage);
  const viewOf = (item: ImageItem, turn: number) => {
    if (views === 'test') return testView(item, settings);
    return trainView(item, settings, new RandomStream(seed, 'view', imageAt(turn), own[turn] % perImage));
  };
  return { ...options, turns: own.length, imageAt, viewOf };
}

/** What every rank has computed and tells, by rank. */
async function exchange(ranks: Ranks, batch: ComputedRows, told: Omit<News, 'rows'>) {
  const news: News = { ...told, rows: [...batch.rows] };
  if (ranks.size === 1) return [{ news, batch }];
  ranks.phase('waiting');
  const all = await gatherJson(ranks, news);
  const values = await ranks.gather(bytesOf(batch.values));
  ranks.phase('computing');
  return all.map((news, rank) => {
    const { buffer, byteOffset, byteLength } = values[rank];
    return {
      news,
      batch: { rows: Int32Array.from(news.rows), values: new Float32Array(buffer, byteOffset, byteLength / 4) },
    };
  });
}

function note(list: UnreadableList, unreadable: News['unreadable'], { size }: Ranks): void {
  try {
    for (const [index, image] of unreadable) list.add(index, image);
  } catch (error) {
    const isShared = size > 1 && error instanceof UserError;
    throw isShared ? new SharedError(error.message, error.advice) : error;
  }
}
