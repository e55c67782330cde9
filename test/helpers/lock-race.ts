import { setTimeout } from 'node:timers/promises';
import { UserError } from '../../core/base/errors.js';
import { FileLock } from '../../core/base/lock.js';

// `node lock-race.js LOCK AT`: tries to take a lock at a time, says whether it did, and holds it until it is killed.
const [path = '', at = '0'] = process.argv.slice(2);
await setTimeout(Number(at) - Date.now());
try {
  await new FileLock(path, { thing: 'the run', doing: 'training it' }).acquire();
  process.stdout.write('taken\n');
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(error instanceof UserError ? `refused: ${error.message}\n` : `${error}\n`);
}
