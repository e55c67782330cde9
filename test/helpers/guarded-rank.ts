import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openGuard, RankLost } from '../../core/train/communicator/guard.js';

// `node guarded-rank.js FOLDER RANK SIZE HOST DEED [SILENCE PATIENCE]`: a rank of a run that has no MPI. It says 'open', does
// its deed when the file FOLDER/go is there, and ends with code 2 where the run is lost.
const [folder = '', number = '', size = '', host = '', deed = '', silence = '60', patience = '60'] =
  process.argv.slice(2);
const rank = Number(number);
let round = 0;

/** Gives all ranks the texts of all by files. */
async function exchange(own: string): Promise<string[]> {
  const pathOf = (of: number | string) => join(folder, `${round}-${of}`);
  writeFileSync(pathOf(`new-${rank}`), own);
  renameSync(pathOf(`new-${rank}`), pathOf(rank));
  const paths = Array.from({ length: Number(size) }, (_, of) => pathOf(of));
  while (!paths.every((path) => existsSync(path))) await setTimeout(10);
  round++;
  const texts = paths.map((path) => readFileSync(path, 'utf8'));
  // The second round tells where rank 0 listens.
  const isDoor = round === 2;
  if (isDoor && deed === 'wrong token') return texts.map((text) => text.replace(/"token":"../, '"token":"zz'));
  if (isDoor && deed === 'wrong port') return texts.map((text) => text.replace(/"port":\d+/, '"port":9'));
  return texts;
}

const limits = { silence: Number(silence), patience: Number(patience) };
const guard = await openGuard({ rank, host }, exchange, limits);
process.stdout.write('open\n');
guard.phase('waiting');
const waiting = (async () => {
  while (!existsSync(join(folder, 'go'))) await setTimeout(10);
})();
await Promise.race([waiting, guard.lost]).catch(leave);

if (deed === 'loop') {
  guard.phase('reading images');
  for (;;);
}
if (deed === 'hang') {
  guard.phase('reading images');
  sleep();
}
if (deed === 'exit') process.exit(7);
if (deed === 'fail') {
  await guard.fail(`image ${rank} is damaged\n  what to do: remove it`);
  await guard.close();
  process.exit(2);
}
if (deed === 'wait') {
  setInterval(() => {}, 1000); // a guard keeps no process alive
  await guard.lost.catch(leave);
}
if (deed === 'block') sleep(); // in waiting, as in a call of MPI
await guard.close();
process.stdout.write('closed\n');

/** Keeps the main thread from whatever else it has to do, for ever. */
function sleep(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function leave(error: unknown): never {
  process.stdout.write(error instanceof RankLost ? `lost: ${error.message}\n` : `${error}\n`);
  process.exit(2);
}
