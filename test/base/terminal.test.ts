import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { terminalOf } from '../../core/base/program.js';
import { ijepa, SMALLEST, startIjepa, temporaryFolder } from '../helpers/command.js';
import { COMMAND } from '../helpers/paths.js';

const terminal = { isTTY: true, columns: 100 };
const pipe = { isTTY: false, columns: 0 };
const ESCAPE = '\x1b';
const canOpenTerminals = spawnSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0;

test('bars are for terminals that can move their cursor, colours for those who want them, and no width is a width of 0', (t) => {
  t.deepEqual(terminalOf(terminal, {}), { bars: true, colour: true, columns: 100 });
  t.deepEqual(terminalOf(pipe, {}), { bars: false, colour: false, columns: undefined });
  t.deepEqual(terminalOf(terminal, { TERM: 'dumb' }), { bars: false, colour: false, columns: 100 });
  t.true(terminalOf({ isTTY: true, columns: 0 }, {}).bars);
  for (const [env, onTerminal, onPipe] of [
    [{ NO_COLOR: '' }, true, false], // empty is not set
    [{ NO_COLOR: '1' }, false, false],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, false, false],
    [{ FORCE_COLOR: '' }, true, true],
    [{ FORCE_COLOR: '3', TERM: 'dumb' }, true, true],
    [{ FORCE_COLOR: '0' }, false, false],
    [{ FORCE_COLOR: 'false' }, false, false],
  ] as const) {
    t.is(terminalOf(terminal, env).colour, onTerminal, JSON.stringify(env));
    t.is(terminalOf(pipe, env).colour, onPipe, JSON.stringify(env));
  }
});

(canOpenTerminals ? test : test.skip)(
  'a terminal that is dumb, or has no width, gets plain lines (needs script)',
  async (t) => {
    const run = join(await temporaryFolder(t), 'run');
    const inTerminal = (columns: number, term: string, args: readonly string[]) => {
      const command = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(' ');
      const { stdout, status } = spawnSync('script', ['-qec', `stty cols ${columns}; ${command}`, '/dev/null'], {
        env: { ...process.env, TERM: term, NO_COLOR: undefined, FORCE_COLOR: undefined },
        encoding: 'utf8',
      });
      t.is(status, 0, stdout);
      return stdout.replaceAll('\r\n', '\n');
    };
    const trained = inTerminal(0, 'dumb', ['pretrain', ...SMALLEST, '--epochs', '1', '--out', run]);
    t.regex(trained, /\nepoch 1\/1 {2}step 6\/6 {2}loss/);
    t.false(trained.includes(ESCAPE));
    t.false(inTerminal(0, 'dumb', ['tables']).includes(ESCAPE));
    const wide = (text: string) => Math.max(...text.split('\n').map((line) => line.length));
    t.is(wide(inTerminal(0, 'xterm', ['probe', '--help'])), wide((await ijepa(['probe', '--help'])).stdout));
    const tables = inTerminal(0, 'xterm', ['tables']);
    t.true(tables.includes(ESCAPE));
    t.true(tables.split('\n').length < 200, 'it is not a word a line');
    const bar = inTerminal(0, 'xterm', ['pretrain', ...SMALLEST, '--epochs', '1', '--out', run, '--force']);
    t.true(bar.includes(ESCAPE) && bar.includes('█'));
  },
);

test('who reads one line only ends the command quietly; colours can be forced into a pipe', async (t) => {
  const { stdout, stderr } = await startIjepa(['tables'], { env: { FORCE_COLOR: '1', NO_COLOR: undefined } });
  t.true(stdout.includes(ESCAPE));
  t.is(stderr.includes(ESCAPE), false);
  const words = [process.execPath, COMMAND, 'config', '--table'];
  const piped = spawnSync('bash', ['-c', 'set -o pipefail; "$@" | head -1', 'bash', ...words], { encoding: 'utf8' });
  t.deepEqual([piped.status, piped.stderr], [0, '']);
  t.is(piped.stdout.split('\n').length, 2);
});
