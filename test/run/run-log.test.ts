import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import { type RunFolder, runFolder } from '../../core/run/run-folder.js';
import { type MonitorColumns, openRunLog, readLastRow, readRunLog } from '../../core/run/run-log.js';
import { temporaryFolder } from '../helpers/command.js';
import { logRow as row } from '../helpers/log-row.js';

const COLUMNS = { terms: ['prediction'], method: ['patches'], rates: ['learningRate'] };
const open = (folder: RunFolder, lastStep: number, monitors: MonitorColumns[] = []) =>
  openRunLog(folder, lastStep, COLUMNS, monitors);
test('a log is cut to the steps of the checkpoint that a run goes on from', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  const { log } = await open(folder, 0);
  for (let step = 1; step <= 5; step++) log.append(row(step));
  log.close();
  t.is((await readLastRow(folder))?.step, 5);
  const again = await open(folder, 3);
  again.log.close();
  t.is(again.missing, 0);
  t.deepEqual(readRunLog(folder), [row(1), row(2), row(3)]);
  t.is((await readFile(folder.table, 'utf8')).split('\n').length, 5);
});

test('a log that was cut anywhere loses the last line at most, and says so', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  const lines = [1, 2, 3].map((step) => `${JSON.stringify(row(step))}\n`).join('');
  const full = lines.length / 3;
  for (let length = lines.length; length > 2 * full; length--) {
    await writeFile(folder.log, lines);
    await truncate(folder.log, length);
    const whole = length >= lines.length - 1 ? 3 : 2; // without its line feed alone it is whole
    t.is((await readLastRow(folder))?.step, whole, `${length}`);
    const { log, missing } = await open(folder, 3);
    log.close();
    t.is(missing, 3 - whole);
  }
});

test('no bytes in a log stop a run, and what is whole in it stays', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom('{"step":3}', '{"step":"1","epoch":1,"loss":2}', '\0\0'),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 6 }), fc.uint8Array({ maxLength: 40 }), async (garbage, bytes) => {
      await writeFile(folder.log, `${JSON.stringify(row(1))}\n`);
      await appendFile(folder.log, garbage.join('\n'));
      await appendFile(folder.log, bytes);
      await appendFile(folder.log, `\n${JSON.stringify(row(2))}\n`);
      await writeFile(folder.table, bytes);
      await readLastRow(folder);
      const { log } = await open(folder, 2);
      log.close();
      return [1, 2].every((step) => readRunLog(folder).some((found) => found.step === step));
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('of a long log the end alone is read for its last row', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  t.is(await readLastRow(folder), null);
  const line = `${JSON.stringify(row(1))}\n`;
  await writeFile(folder.log, line.repeat(5000) + JSON.stringify(row(7)).slice(0, 50));
  t.is((await readLastRow(folder))?.step, 1, 'a line that is being written is not looked at');
});

test('a table has a column for each number of terms, method, rates and monitors; what was not measured is empty', async (t) => {
  const folder = runFolder(await temporaryFolder(t));
  const { log } = await open(folder, 0, [{ name: 'sums', values: ['all', 'none'] }]);
  const numbers = { terms: { prediction: 2 }, method: { patches: 3 }, rates: { learningRate: 0.5 } };
  log.append({ ...row(1), ...numbers, monitors: null });
  log.append({ ...row(2), ...numbers, featureStd: 0.25, featureRank: 4, monitors: { sums: { all: 7, none: null } } });
  log.close();
  t.deepEqual((await readFile(folder.table, 'utf8')).split('\n'), [
    'epoch,step,loss,terms.prediction,method.patches,rates.learningRate,gradientNorm,operations,imagesPerSecond,seconds,' +
      'waitSeconds,skippedImages,featureStd,featureRank,monitors.sums.all,monitors.sums.none',
    '1,1,1,2,3,0.5,1,1000,100,0.25,0,0,,,,',
    '1,2,0.5,2,3,0.5,1,1000,100,0.25,0,0,0.25,4,7,',
    '',
  ]);
});
