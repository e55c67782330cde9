import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { readHolder } from '../../core/base/lock.js';
import { readRunState, runFolder } from '../../core/run/run-folder.js';
import { SMALLEST, temporaryFolder } from '../helpers/command.js';
import { whenLogged } from '../helpers/faults.js';
import { COMMAND } from '../helpers/paths.js';

const hasBash = existsSync('/bin/bash');
const onLinux = existsSync('/proc/self/status');

for (const [how, script, ignored, stops, declare] of [
  ['nohup (needs bash)', 'nohup "$@" > /dev/null 2>&1', 'SIGHUP', 'SIGTERM', hasBash ? test : test.skip],
  [
    'a script that ignores them (needs bash and /proc)',
    'trap "" INT HUP; "$@" > /dev/null; exit $?',
    'SIGINT',
    'SIGTERM',
    hasBash && onLinux ? test : test.skip,
  ],
] as const) {
  declare(`signals that are ignored when the program starts stay ignored: ${how}`, async (t) => {
    const run = join(await temporaryFolder(t), 'run');
    const args = [COMMAND, 'pretrain', ...SMALLEST, '--epochs', '1000', '--out', run];
    const shell = spawn('bash', ['-c', script, 'bash', process.execPath, ...args], { stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => shell.on('close', resolve));
    const logged = (lines: number) => new Promise<void>((resolve) => whenLogged(run, lines, resolve));
    await logged(2);
    const owner = await readHolder(runFolder(run).lock);
    const pid = typeof owner === 'object' && owner ? owner.pid : Number.NaN;
    for (let times = 0; times < 2; times++) {
      process.kill(pid, ignored);
      await setTimeout(100);
    }
    await logged(readFileSync(runFolder(run).log, 'utf8').split('\n').length + 10); // it goes on
    process.kill(pid, stops);
    t.is(await ended, 143);
    t.like(await readRunState(runFolder(run).state), { state: 'interrupted', reason: stops });
  });
}
