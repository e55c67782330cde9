import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ijepaHere, SMALLEST, startProgram, temporaryFolder } from './helpers/command.js';
import { examplesOf, typeComplaints } from './helpers/examples.js';
import { COMMAND, ROOT } from './helpers/paths.js';

const README = 'core/README.md';

test.serial('the examples of the library run as JavaScript and are right as TypeScript', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'node_modules'));
  await symlink(ROOT, join(folder, 'node_modules', 'ijepa'));
  const trained = await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'runs/demo'], folder);
  t.is(trained.code, 0, trained.stderr);
  const examples = examplesOf(README);
  t.true(examples.some(({ isRun }) => isRun) && examples.some(({ isRun }) => !isRun));
  for (const { name, text, isRun } of examples) {
    await writeFile(join(folder, `${name}.mjs`), text);
    const command = isRun ? [`${name}.mjs`] : [COMMAND, 'plugin', 'check', `./${name}.mjs`];
    const { code, stdout, stderr } = await startProgram([process.execPath, ...command], { cwd: folder });
    t.is(code, 0, stdout + stderr);
    t.not(stdout, '');
  }
  t.is(typeComplaints(folder, examples), '');
});

test('types of the library are those of the program: misuse does not compile', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'node_modules'));
  await symlink(ROOT, join(folder, 'node_modules', 'ijepa'));
  const misuse = `
    import { defineMethod, extractFeatures, loadEncoder, number } from 'ijepa';
    const encoder = await loadEncoder('runs/demo', { engine: 'abacus' });
    const { rows } = await extractFeatures(encoder, 'shapes:5', { layers: 'all' });
    const text: string = rows[0];
    const weight: string = encoder.encoder['norm.weight'].square();
    encoder.encoder['norm.weight'].squareRoot();
    number({ group: 'Masks', default: 'one', help: 'nothing' });
    defineMethod({ name: 'half' });
  `;
  const complaints = typeComplaints(folder, [{ name: 'misuse', text: misuse }]);
  for (const line of [3, 4, 5, 6, 7, 8, 9])
    t.regex(complaints, new RegExp(`^misuse\\.mts\\(${line},`, 'm'), complaints);
});
