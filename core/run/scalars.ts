import type { LogRow } from './run-log.js';

/**
 * The numbers of a step by names that viewers of logs group at the slash: 'loss', 'terms/prediction', 'rates/learningRate';
 * without those that were not measured.
 */
export function scalarsOf(row: LogRow): [name: string, value: number][] {
  const { epoch, loss, terms, rates, method, gradientNorm, featureStd, featureRank, exchangeSeconds = null } = row;
  const { probe, probeSeconds = null } = row;
  const groups: Readonly<Record<string, Readonly<Record<string, number | null>>>> = {
    terms,
    rates,
    method,
    gradients: { norm: gradientNorm },
    ...(probe && { probe }),
    features: { std: featureStd, rank: featureRank },
    speed: { imagesPerSecond: row.imagesPerSecond, waitSeconds: row.waitSeconds, exchangeSeconds, probeSeconds },
    ...Object.fromEntries(Object.entries(row.monitors ?? {}).map(([name, values]) => [`monitors/${name}`, values])),
  };
  const tagged = Object.entries(groups).flatMap(([group, values]) =>
    Object.entries(values).map(([name, value]) => [`${group}/${name}`, value] as const),
  );
  return [['epoch', epoch] as const, ['loss', loss] as const, ...tagged].flatMap(([name, value]) =>
    value === null || !Number.isFinite(value) ? [] : [[name, value]],
  );
}
