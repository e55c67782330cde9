import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.js';

/** A block of JavaScript in a README: a module that others name, or something to run. */
export interface Example {
  /** Without extension. */
  name: string;
  text: string;
  isRun: boolean;
}

export function examplesOf(readme: string): Example[] {
  const text = readFileSync(join(ROOT, readme), 'utf8');
  return [...text.matchAll(/^```js(?: name=(\S+)\.mjs)?\n(.*?)^```$/gms)].map(([, name, text = ''], at) => ({
    name: name ?? `example-${at}`,
    text,
    isRun: name === undefined,
  }));
}

/** The strictest settings of a user's TypeScript; that of libraries themselves is not checked, as `tsc --init` has it. */
const USERS_OPTIONS = {
  strict: true,
  target: 'es2022',
  lib: ['es2023'],
  module: 'nodenext',
  noUncheckedSideEffectImports: true,
  skipLibCheck: true,
  noEmit: true,
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules', '@types')],
};

/**
 * Checks modules as TypeScript in a folder where the program is installed.
 * @returns what the compiler complains about; nothing where all is well
 */
export function typeComplaints(folder: string, modules: readonly Pick<Example, 'name' | 'text'>[]): string {
  const files = modules.map(({ name }) => `${name}.mts`);
  for (const { name, text } of modules) writeFileSync(join(folder, `${name}.mts`), text);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: USERS_OPTIONS, files }));
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', folder], { cwd: folder, encoding: 'utf8' });
  return stdout + stderr;
}
