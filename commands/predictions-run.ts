import { UserError } from '../core/base/errors.js';
import { classCounts, type Predictor, pairedTests } from '../core/eval/paired.js';
import type { EvaluationResult } from '../core/eval/results.js';
import { pairedText, perClassText } from '../core/report/measures-text.js';
import type { TablesOptions } from './options/others.js';

/** @throws UserError where tables or charts are asked for beside what predictions tell, or both of these */
export function checkPredictions({ paired, perClass, chart, format }: TablesOptions): void {
  if (paired !== null && perClass !== null) {
    throw new UserError('--paired and --per-class contradict one another', { expected: 'one of them' });
  }
  if ((paired === null && perClass === null) || (chart === null && format === 'text')) return;
  throw new UserError(`${paired === null ? '--per-class' : '--paired'} makes no tables and charts`, {
    remedy: 'leave out --format and --chart',
  });
}

/**
 * What predictions tell, as text or one JSON document; null where it was not asked for.
 * @throws UserError where results do not hold them
 */
export function predictionsText(
  results: readonly EvaluationResult[],
  { paired, perClass, json }: TablesOptions,
): string | null {
  if (paired !== null) return pairedOf(results, paired, json);
  return perClass === null ? null : perClassOf(results, perClass, json);
}

function pairedOf(results: readonly EvaluationResult[], by: Predictor, json: boolean): string {
  const tests = pairedTests(results, by);
  if (tests.length === 0) {
    throw new UserError(`--paired ${by} found no two networks with predictions for the same test images`, {
      expected: 'results of two networks on one data set; those of earlier versions hold no predictions',
      remedy: 'name the results.json of both, or their folders; probe them again where they are old',
    });
  }
  if (!json) return pairedText(tests, by);
  const facts = tests.map(({ first, second, ...numbers }) => {
    return { dataSet: first.dataSet, first: first.network, second: second.network, ...numbers };
  });
  return JSON.stringify({ paired: facts });
}

function perClassOf(results: readonly EvaluationResult[], by: Predictor, json: boolean): string {
  const all = classCounts(results, by);
  if (all.length === 0) {
    throw new UserError(`--per-class ${by} found no predictions`, {
      expected: 'results of this version; those of earlier ones hold none',
      remedy: 'name a results.json, or its folder; probe again where it is old',
    });
  }
  if (!json) return perClassText(all, by);
  const facts = all.map(({ result, classes }) => ({ dataSet: result.dataSet, network: result.network, classes }));
  return JSON.stringify({ perClass: facts });
}
