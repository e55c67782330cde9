import type { ReportFacts } from '../../core/report/facts.js';

/** The facts that a page holds. */
export function factsIn(page: string): ReportFacts {
  const [, json] = /<script type="application\/json" id="facts">(.*?)<\/script>/s.exec(page) ?? [];
  if (json === undefined) throw new Error('the page holds no facts');
  return JSON.parse(json) as ReportFacts;
}
