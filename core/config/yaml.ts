import { parse } from 'yaml';

/** Most bytes of a configuration: about what a command line can hold, which is recorded in one. */
export const LARGEST_CONFIGURATION = 2 ** 21;

/**
 * Reads YAML. One parser reads and writes all YAML of this program.
 * @throws Error with the reason if it is none, too large, nested too deeply, or unfolds to more than it should
 */
export function parseYaml(text: string): unknown {
  if (text.length > LARGEST_CONFIGURATION) throw new Error(`it has more than ${LARGEST_CONFIGURATION} bytes`);
  try {
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw error instanceof RangeError ? new Error('it is nested too deeply') : error;
  }
}
