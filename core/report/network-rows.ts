import type { EvaluationResult } from '../eval/results.js';
import { networkKey, resultKey } from '../eval/results.js';
import { type Mark, printable, QUICK_NOTE, shown, TUNING_NOTE } from './result-table.js';

/** The results of one network. */
export interface NetworkRow {
  network: EvaluationResult['network'];
  results: readonly EvaluationResult[];
}

/** Images of this side go without saying, as in the paper's tables. */
const USUAL_IMAGE_SIZE = 224;

/**
 * Puts results of the same network together. Networks of one architecture stand together in the order in which they came;
 * below them stands the same architecture at random initialisation, each of its results once: it is measured beside every
 * network.
 */
export function networkRows(results: readonly EvaluationResult[]): NetworkRow[] {
  const isRandom = (network: EvaluationResult['network']) => network.weights === 'random';
  const random = results.filter(({ network }) => isRandom(network));
  random.sort((a, b) => Date.parse(a.measuredAt) - Date.parse(b.measuredAt));
  const newest = new Map(random.map((result) => [resultKey(result), result]));
  const once = results.filter((result) => !isRandom(result.network) || newest.get(resultKey(result)) === result);
  const rows = [...groupBy(once, networkKey).values()].map((own) => ({
    network: (own[0] as EvaluationResult).network,
    results: own,
  }));
  return [...groupBy(rows, ({ network }) => archName(network)).values()].flatMap((family) => [
    ...family.filter(({ network }) => !isRandom(network)),
    ...family.filter(({ network }) => isRandom(network)),
  ]);
}

/** The architecture with its image size where that is not 224, as the paper writes 'ViT-H/16-448'. */
export function archName({ arch, imageSize }: EvaluationResult['network']): string {
  return printable(imageSize === USUAL_IMAGE_SIZE ? arch : `${arch}-${imageSize}`);
}

export function methodName({ method, encoder }: EvaluationResult['network']): string {
  if (method === null) return 'random initialisation';
  return printable(encoder === null ? method : `${method} (${encoder} encoder)`);
}

/** Of pretraining, for a cell. */
export function epochsOf({ weights, epochs }: EvaluationResult['network']): string {
  return weights === 'random' ? '0' : String(epochs ?? 'unknown');
}

/** How a network came about, for a note. */
export function describeNetwork(network: EvaluationResult['network']): string {
  const name = `${methodName(network)} ${archName(network)}`;
  const { weights, pretrainedOn, epochs, checkpoint } = network;
  if (weights === 'random') return `${name}: fresh weights of that architecture, without any training`;
  const length = epochs === null ? 'for an unknown time' : `for ${epochs} epochs`;
  const file = checkpoint === null ? '' : `, checkpoint ${checkpoint}`;
  return printable(`${name}: pretrained on ${pretrainedOn ?? 'unknown data'} ${length}${file}`);
}

/**
 * The one of several results of a network on one task that a table shows: the paper's protocol before the quick one,
 * more images before fewer, newer before older. Which is the better one plays no part.
 */
export function chooseResult(results: readonly EvaluationResult[]): EvaluationResult | null {
  const [first] = results.toSorted(
    (a, b) =>
      Number(isPapers(b)) - Number(isPapers(a)) ||
      Number(b.protocolName === 'paper') - Number(a.protocolName === 'paper') ||
      b.testImages - a.testImages ||
      b.trainImages - a.trainImages ||
      Date.parse(b.measuredAt) - Date.parse(a.measuredAt),
  );
  return first ?? null;
}

/** Whether heads and fine-tuning followed the paper, so that the value may be compared with published ones. */
export function isPapers({ protocolName, fineTuning }: EvaluationResult): boolean {
  return protocolName === 'paper' && (fineTuning === null || fineTuning.protocol === 'paper');
}

/** † where they did not. */
export function protocolMarks(result: EvaluationResult): Mark[] {
  return isPapers(result) ? [] : ['†'];
}

/** What † means for such results. */
export function protocolNotes(results: readonly EvaluationResult[]): string[] {
  const quick = results.some(({ protocolName }) => protocolName === 'quick');
  const tuned = results.some((result) => result.protocolName === 'paper' && !isPapers(result));
  return [...(quick ? [QUICK_NOTE] : []), ...(tuned ? [TUNING_NOTE] : [])];
}

/** How an encoder was fine-tuned, for a note; nothing for other kinds of results. */
export function tuningNote({ kind, fineTuning }: EvaluationResult): string {
  if (kind !== 'semi-supervised') return '';
  if (fineTuning === null) return '; linear probe only, it was not fine-tuned';
  return {
    paper: "; fine-tuned by the paper's protocol",
    small: '; fine-tuned by the protocol for small data',
    own: '; fine-tuned with settings of its own',
  }[fineTuning.protocol];
}

const CHOICES = {
  test: 'the best head of the grid was chosen on the test images, as the paper does, which favours it',
  validation: 'the best head of the grid was chosen on a held-out tenth of the training images, then trained on all',
} as const;

/** On what the best head was chosen, for a note; none where there is nothing to choose among. */
export function choiceNotes(columns: string, results: readonly EvaluationResult[]): string[] {
  const selections = [...new Set(results.map(({ selection }) => selection))];
  if (selections.length === 0) return [];
  const words = selections.map((selection) => CHOICES[selection]).join('; or ');
  return [`${columns}: ${words}${selections.length > 1 ? ' (see the rows)' : ''}.`];
}

/** Logistic regression and its choices, for a note. */
export function logisticNote({ dataSet, logistic }: EvaluationResult): string {
  if (!logistic) return '';
  return `; logistic regression on ${dataSet} ${shown(logistic.top1.value)} (${logistic.features}, C = ${logistic.c})`;
}

export function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
