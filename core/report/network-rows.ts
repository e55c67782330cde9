import type { Accuracy, EvaluationResult } from '../eval/result.js';
import { type FigureCell, type Mark, printable, QUICK_NOTE, shown, TUNING_NOTE } from './result-table.js';

/** The results of one network. */
export interface NetworkRow {
  network: EvaluationResult['network'];
  results: readonly EvaluationResult[];
}

/** Images of this side go without saying, as in the paper's tables. */
const USUAL_IMAGE_SIZE = 224;

/**
 * Puts results of the same network together. Networks of one architecture stand together in the order in which they came;
 * below them stands the same architecture at random initialisation.
 */
export function networkRows(results: readonly EvaluationResult[]): NetworkRow[] {
  const rows = [...groupBy(results, networkKey).values()].map((own) => ({
    network: (own[0] as EvaluationResult).network,
    results: own,
  }));
  const families = groupBy(rows, ({ network }) => archName(network));
  return [...families.values()].flatMap((family) => [
    ...family.filter(({ network }) => network.weights === 'pretrained'),
    ...family.filter(({ network }) => network.weights === 'random'),
  ]);
}

/** What tells networks apart. Random ones differ by seed. */
export function networkKey({ network, seed }: EvaluationResult): string {
  const { weights, method, encoder, arch, imageSize, epochs, pretrainedOn, checkpoint } = network;
  if (weights === 'random') return JSON.stringify([weights, arch, imageSize, seed]);
  return JSON.stringify([weights, method, encoder, arch, imageSize, epochs, pretrainedOn, checkpoint]);
}

/** The architecture with its image size where that is not 224, as the paper writes 'ViT-H/16-448'. */
export function archName({ arch, imageSize }: EvaluationResult['network']): string {
  return printable(imageSize === USUAL_IMAGE_SIZE ? arch : `${arch}-${imageSize}`);
}

export function methodName({ method, encoder }: EvaluationResult['network']): string {
  if (method === null) return 'random initialisation';
  return encoder === null ? method : `${method} (${encoder} encoder)`;
}

/** How a network came about, for a note. */
export function describeNetwork(network: EvaluationResult['network']): string {
  const name = `${methodName(network)} ${archName(network)}`;
  if (network.weights === 'random') return `${name}: fresh weights of that architecture, without any training`;
  const source = network.pretrainedOn === null ? 'pretrained on unknown data' : `pretrained on ${network.pretrainedOn}`;
  const length = network.epochs === null ? 'for an unknown time' : `for ${network.epochs} epochs`;
  return printable(
    `${name}: ${source} ${length}${network.checkpoint === null ? '' : `, checkpoint ${network.checkpoint}`}`,
  );
}

/**
 * The one of several results of a network on one task that a table shows: the paper's protocol before the quick one,
 * more images before fewer, newer before older. Which is the better one plays no part.
 */
export function chooseResult(results: readonly EvaluationResult[]): EvaluationResult | null {
  const [first] = [...results].sort(
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

/** On what the best head was chosen, for a note; null where there is nothing to choose among. */
export function choiceOfHeads(results: readonly EvaluationResult[]): string | null {
  const selections = [...new Set(results.map(({ selection }) => selection))];
  if (selections.length === 0) return null;
  const words = selections.map((selection) =>
    selection === 'test'
      ? 'the best head of the grid was chosen on the test images, as the paper does, which favours it'
      : 'the best head of the grid was chosen on a held-out tenth of the training images, then trained on all',
  );
  return `${words.join('; or ')}${selections.length > 1 ? ' (see the rows)' : ''}.`;
}

/** Logistic regression and its choices, for a note. */
export function logisticNote({ dataSet, logistic }: EvaluationResult): string {
  if (!logistic) return '';
  return `; logistic regression on ${dataSet} ${shown(logistic.top1.value)} (${logistic.features}, C = ${logistic.c})`;
}

/** A measured value with its interval. */
export function measuredCell({ value, low, high }: Accuracy, marks: readonly Mark[]): FigureCell {
  return { value, interval: { low, high }, marks, best: false };
}

export function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}
