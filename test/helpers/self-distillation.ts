import type { Method, Networks } from '../../core/methods/method.js';
import type { Golden } from './golden.js';

/* What golden files of DINO and iBOT have in common: a student and a teacher, three steps each of which is an epoch. */

export const LENGTH = { stepsPerEpoch: 1, epochs: 3, scheduleStretch: 1 };

/** What the teacher's networks are averages of. */
const TEACHERS: Readonly<Record<string, string>> = {
  teacher: 'encoder',
  teacher_head: 'head',
  teacher_last_layer: 'last_layer',
};
export const roleOf = (network: string) => (network in TEACHERS ? 'teacher' : 'student');
export const nameOf = (network: string, parameter: string) => `${TEACHERS[network] ?? network}.${parameter}`;

/** The weights that a case starts from. */
export function networksOf<S>(golden: Golden<S>, { networks }: Pick<Method, 'networks'>, name: string): Networks {
  return Object.fromEntries(
    Object.entries(networks).map(([network, { shapes }]) => [
      network,
      golden.parameters(`${name}.${roleOf(network)}.${nameOf(network, '')}`, shapes),
    ]),
  );
}

/** The pixels of a method's views. */
export async function viewsOf<S>(golden: Golden<S>, { views }: Pick<Method, 'views'>) {
  const pixels = views.map(async ({ name }) => [name, (await golden.tensor(name).data()) as Float32Array] as const);
  return Object.fromEntries(await Promise.all(pixels));
}

/** The method's rates of a step. */
export function ratesOf({ rates }: Pick<Method, 'rates'>, step: number): Record<string, number> {
  return Object.fromEntries(Object.entries(rates).map(([rate, of]) => [rate, of(step, LENGTH)]));
}
