import type { LogRow } from './run-log.js';

/** The numbers of a row by names with slashes, as viewers of logs group them: 'terms/prediction'. Those that are not there, or NaN, are left out. */
export function scalarsOf(row: LogRow): [name: string, value: number][] {
  const { epoch, step: _, ...numbers } = row;
  return [['epoch', epoch], ...flattened(numbers, '')];
}

function flattened(group: object, prefix: string): [string, number][] {
  return Object.entries(group).flatMap(([name, value]: [string, unknown]): [string, number][] => {
    if (typeof value === 'number') return Number.isFinite(value) ? [[prefix + name, value]] : [];
    return value instanceof Object ? flattened(value, `${prefix}${name}/`) : [];
  });
}
