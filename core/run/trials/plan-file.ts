import { readdir } from 'node:fs/promises';
import type { z } from 'zod';
import { isUnfinished, writeFileAtomically } from '../../base/atomic.js';
import { explainSystemError, isMissing, UserError } from '../../base/errors.js';
import { readText, tryJson } from '../../base/text.js';

/** Most bytes of a plan. */
const LARGEST_PLAN = 2 ** 22;

/**
 * The plan in a folder of several runs; null where they may begin there.
 * @param folder with the name of its lock
 * @param it what the folder should hold
 * @throws UserError if the folder holds something else, or a plan that cannot be read
 */
export async function readPlanFile<T>(
  { path, plan, lockName }: { path: string; plan: string; lockName: string },
  schema: z.ZodType<T>,
  it: 'comparison' | 'sweep',
): Promise<T | null> {
  const text = await readText(plan, LARGEST_PLAN).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (text !== null) {
    const { success, data } = schema.safeParse(tryJson(text));
    if (success) return data;
    throw new UserError(`${plan} is not a whole plan of a ${it}`, {
      expected: `the file as the ${it} wrote it`,
      remedy: 'put it back as it was, or choose another --out',
    });
  }
  const names = await readdir(path).catch((error: unknown) => {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw explainSystemError(error, path);
  });
  if (names.every((name) => isUnfinished(name) || name.startsWith(lockName))) return null;
  throw new UserError(`${path} is not empty and holds no ${it}`, {
    expected: 'a new or empty folder',
    remedy: 'choose another --out, or empty the folder yourself',
  });
}

/** Writes a plan whole, in the order in which it will be read. */
export async function writePlanFile<T>(path: string, schema: z.ZodType<T>, plan: T): Promise<T> {
  const whole = schema.parse(plan);
  await writeFileAtomically(path, `${JSON.stringify(whole, null, 2)}\n`);
  return whole;
}
