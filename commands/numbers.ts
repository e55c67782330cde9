import { UserError } from '../core/base/errors.js';

/** A whole number from `least`; null where none was given. */
export function wholeNumber(flag: string, value: unknown, least: number): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && Number.isInteger(value) && value >= least) return value;
  throw new UserError(`${flag} cannot be ${value}`, { expected: `a whole number from ${least}` });
}

/** A number from 0 to `most`; null where none was given. */
export function numberFrom0(flag: string, value: unknown, most = Number.POSITIVE_INFINITY): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && value >= 0 && value <= most) return value;
  throw new UserError(`${flag} cannot be ${value}`, {
    expected: `a number from 0${Number.isFinite(most) ? ` to ${most}` : ''}`,
  });
}
