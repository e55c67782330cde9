import { usualNeighbours } from '../eval/classifiers.js';
import { USUAL_VOTING } from '../eval/protocols.js';
import type { EvaluationResult } from '../eval/results.js';
import { isPapers, missingPart } from './network-rows.js';
import { type Mark, printable, shown } from './result-table.js';

/* What tables say of values beside themselves. */

const CHOICES = {
  test: 'the best head of the grid was chosen on the test images, as the paper does, which favours it',
  validation: 'the best head of the grid was chosen on a held-out tenth of the training images, then trained on all',
} as const;

/** † where heads and fine-tuning did not follow the paper, ‡ where some of a benchmark's images are missing. */
export function marksOf(result: EvaluationResult): Mark[] {
  return [...(isPapers(result) ? [] : (['†'] as const)), ...(missingPart(result) ? (['‡'] as const) : [])];
}

/** What has to be known of measured values: their intervals, marks, and how heads were chosen. */
export function notesOf(columns: string, results: readonly EvaluationResult[]): string[] {
  if (results.length === 0) return [];
  const quick = results.some(({ protocolName }) => protocolName === 'quick');
  const tuned = results.some((result) => result.protocolName === 'paper' && !isPapers(result));
  const selections = [...new Set(results.map(({ selection }) => selection))];
  const choices = selections.map((selection) => CHOICES[selection]).join('; or ');
  const parts = [...new Set(results.map(missingPart).filter((part) => part !== null))];
  return [
    "Measured values are followed by their 95% interval over the test images (Wilson's).",
    quick &&
      "† measured with the quick protocol: the paper's grid of heads, trained otherwise. Not comparable with published values.",
    tuned && '† fine-tuned otherwise than the paper did. Not comparable with published values.',
    `${columns}: ${choices}${selections.length > 1 ? ' (see the rows)' : ''}.`,
    parts.length > 0 && `‡ measured on a part of the data set (${parts.join('; ')}).`,
  ].filter((note) => note !== false);
}

export function neighboursNote(results: readonly EvaluationResult[]): string[] {
  const all = results.flatMap(({ neighbours, pixelNeighbours }) => [neighbours, pixelNeighbours]);
  const ks = [...new Set(all.flatMap((found) => usualNeighbours(found)?.k ?? []))];
  if (ks.length === 0) return [];
  const usual = USUAL_VOTING.temperature;
  const temperatures = [...new Set(results.map(({ neighbourTemperature = usual }) => neighbourTemperature))];
  const votes = temperatures.some((one) => one !== usual)
    ? ` Their votes have the temperature ${temperatures.join(' or ')}.`
    : '';
  return [
    `kNN: k = ${ks.join(' or ')} nearest neighbours by their features, without training; those of raw pixels by the pixels.${votes}`,
  ];
}

export function bestHead(result: EvaluationResult): string {
  const chosen = result.selection === 'test' ? 'the test images' : 'held-out images';
  const { name } = result.best;
  const head = `; best head: ${name}, chosen on ${chosen}`;
  return printable(`${featuresNote(result)}${head}${logisticNote(result)}${tuningNote(result)}`);
}

/** What the best head saw: '; features: class token of the last four layers'. */
export function featuresNote({ network: { pooling }, best }: EvaluationResult): string {
  if (pooling === undefined) return '';
  const layers = best.name.startsWith('last-4') ? ' of the last four layers' : '';
  return `; features: ${pooling}${layers}`;
}

/** How an encoder was fine-tuned; nothing for other kinds of results. */
export function tuningNote({ kind, fineTuning }: EvaluationResult): string {
  if (kind !== 'semi-supervised') return '';
  if (fineTuning === null) return '; linear probe only, it was not fine-tuned';
  return {
    paper: "; fine-tuned by the paper's protocol",
    small: '; fine-tuned by the protocol for small data',
    own: '; fine-tuned with settings of its own',
  }[fineTuning.protocol];
}

export function logisticNote({ dataSet, logistic }: EvaluationResult): string {
  if (!logistic) return '';
  return `; logistic regression on ${dataSet} ${shown(logistic.top1.value)} (${logistic.features}, C = ${logistic.c})`;
}
