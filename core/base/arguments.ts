import { readFileSync } from 'node:fs';
import { nameFromBytes } from './file-names.js';

/**
 * The arguments of the program, those that are not UTF-8 as `nameFromBytes` has them: Node loses their bytes, which Linux
 * still tells.
 */
export function programArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((word) => word.includes('\ufffd'))) return argv;
  const bytes = commandLine();
  const words: string[] = [];
  for (let end = bytes.indexOf(0), start = 0; end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
    words.push(nameFromBytes(bytes.subarray(start, end)));
  }
  // Node and its own options come first.
  const script = argv.slice(0, 2);
  const own = words.slice(words.length - (argv.length - script.length));
  return own.length === argv.length - script.length ? [...script, ...own] : argv;
}

function commandLine(): Buffer {
  try {
    return readFileSync('/proc/self/cmdline');
  } catch {
    return Buffer.alloc(0);
  }
}
