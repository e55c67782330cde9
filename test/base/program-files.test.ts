import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { describeError } from '../../commands/report-error.js';
import { UserError } from '../../core/base/errors.js';
import { explainProgramFiles } from '../../core/base/program-files.js';
import { temporaryFolder } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';

const OWN = join(ROOT, 'dist', 'core', 'gone.js');

/** What a thread ends with that is to run a module. */
async function failureOf(path: string): Promise<unknown> {
  const [failure] = await once(new Worker(path), 'error');
  return failure;
}

test('a part of the program that is not there, in a thread or here, is told as a message and not as a bug', async (t) => {
  const folder = await temporaryFolder(t);
  const importing = join(folder, 'importing.mjs');
  await writeFile(importing, `import '${OWN}';`);
  const failures = [
    await failureOf(OWN),
    new Error('a thread has failed', { cause: await failureOf(importing) }),
    await import(OWN).catch((error: unknown) => error),
    await readFile(OWN).catch((error: unknown) => error),
  ];
  for (const failure of failures) {
    const { report, exitCode } = describeError(failure);
    t.is(exitCode, 2, report);
    t.regex(report, /^the program's files are not complete; a part of it cannot be loaded: .*gone\.js/);
    t.regex(report, /what to do: .* start it again; a run goes on with --resume/);
    t.notRegex(report, /\n {4}at /);
  }
});

test('modules that do not fit together are a message where the files have changed, and a bug otherwise', async (t) => {
  const folder = await temporaryFolder(t);
  const [older, newer] = ['older.mjs', 'newer.mjs'].map((name) => join(folder, name)) as [string, string];
  await writeFile(older, "import { renamed } from './newer.mjs';");
  await writeFile(newer, 'export const other = 1;');
  const failure = await failureOf(older);
  t.true(failure instanceof SyntaxError);
  const explained = explainProgramFiles(failure, 0);
  t.true(explained instanceof UserError);
  t.regex(String(explained), /the program's files changed while it ran; .*does not provide an export named 'renamed'/);
  t.is(explainProgramFiles(failure), failure);
  t.is(describeError(failure).exitCode, 1);
});

test('what else is missing is not taken for a part of the program', async (t) => {
  const folder = await temporaryFolder(t);
  const foreign = join(folder, 'foreign.mjs');
  for (const failure of [await failureOf(foreign), await readFile(foreign).catch((error: unknown) => error)]) {
    t.is(explainProgramFiles(failure), failure);
    t.is(explainProgramFiles(failure, 0), failure);
  }
});
