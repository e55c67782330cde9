import type { ReportFacts } from '../report/facts.js';
import { reportPage } from '../report/page.js';
import { type PictureFields, reportFacts, type ShownRun } from './report-facts.js';
import type { Served } from './watch-server.js';

/** Milliseconds between two looks of a page. */
const REFRESH = 2000;
/** Collecting facts of a long run may take this part of the time; in between, what was collected last is served again. */
const FRACTION = 0.1;

/**
 * The page of a run that goes on and the facts that keep it up to date: the page has all, the facts leave out pictures,
 * which stay as they are.
 * @param leftOut is told of results that cannot be read, of each once
 */
export function livePage(
  run: ShownRun,
  results: readonly string[],
  pictures: PictureFields,
  leftOut: (reason: string) => void,
): Served {
  const told = new Set<string>();
  const tellOnce = (reason: string) => {
    if (!told.has(reason)) leftOut(reason);
    told.add(reason);
  };
  let collecting: Promise<ReportFacts> | undefined;
  let next = 0;
  /** Those who ask at the same time get the same. */
  const collect = () => {
    if (collecting && performance.now() < next) return collecting;
    next = Number.POSITIVE_INFINITY;
    const started = performance.now();
    collecting = reportFacts([run], { results, refreshMs: REFRESH }, [pictures], tellOnce).finally(() => {
      const now = performance.now();
      next = now + (now - started) / FRACTION;
    });
    return collecting;
  };
  return {
    '/': { type: 'text/html', make: async () => reportPage(await collect(), { served: true }) },
    '/data.json': { type: 'application/json', make: async () => JSON.stringify(withoutPictures(await collect())) },
  };
}

function withoutPictures(facts: ReportFacts): ReportFacts {
  return { ...facts, runs: facts.runs.map((run) => ({ ...run, masks: null, pictures: null })) };
}
