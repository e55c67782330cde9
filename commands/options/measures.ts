import { UserError } from '../../core/base/errors.js';
import { grouped, number, type ValuesOf, words } from '../../core/config/option.js';
import { USUAL_VOTING, type Voting } from '../../core/eval/protocols.js';

/* Ways to judge features beside linear heads. */

export const VOTING_OPTIONS = grouped('Protocol', {
  neighbours: words({
    default: USUAL_VOTING.ks.map(String),
    help: 'numbers of nearest neighbours that vote, each for itself, with commas between',
  }),
  knnTemperature: number({
    default: USUAL_VOTING.temperature,
    min: 0,
    open: true,
    help: 'T of their votes: a similarity s weighs exp(s / T)',
  }),
});

/**
 * How neighbours vote.
 * @throws UserError for numbers that are none
 */
export function votingOf({ neighbours, knnTemperature }: ValuesOf<typeof VOTING_OPTIONS>): Voting {
  return { ks: wholeNumbers('--neighbours', neighbours), temperature: knnTemperature };
}

/** @throws UserError where one of some words is no whole number from 1 on */
function wholeNumbers(flag: string, given: readonly string[]): number[] {
  const numbers = given.map(Number);
  if (numbers.every((one) => Number.isSafeInteger(one) && one >= 1)) return [...new Set(numbers)];
  throw new UserError(`${flag} cannot be '${given.join(',')}'`, {
    expected: 'whole numbers from 1 on, such as 1,5,20',
  });
}
