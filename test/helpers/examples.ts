import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.js';

/** The JavaScript of a README, block by block. */
export function examplesOf(readme: string): string[] {
  const text = readFileSync(join(ROOT, readme), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1] as string);
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
 * @param modules their text by names without extension
 * @returns what the compiler complains about; nothing where all is well
 */
export function typeComplaints(folder: string, modules: Readonly<Record<string, string>>): string {
  const files = Object.keys(modules).map((name) => `${name}.mts`);
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, `${name}.mts`), text);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: USERS_OPTIONS, files }));
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', folder], { cwd: folder, encoding: 'utf8' });
  return stdout + stderr;
}
