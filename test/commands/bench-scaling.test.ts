import test from 'ava';
import { ijepaHere } from '../helpers/command.js';

const SIZE = '--config tiny --engine wasm --set depth=1,dim=24,heads=1 --steps 1'.split(' ');

test.serial('the step that was timed is predicted on more ranks, by both laws', async (t) => {
  const args = ['bench', ...SIZE, '--ranks', '1,2,64', '--model-network', '10,30'];
  const json = await ijepaHere([...args, '--wire', 'bfloat16', '--json']);
  t.is(json.code, 0, json.stderr);
  const [{ secondsPerStep, updateSeconds, parameters, scaling }] = JSON.parse(json.stdout);
  t.true(updateSeconds > 0 && updateSeconds < secondsPerStep);
  t.like(scaling.costs, { images: 16, fixedSeconds: updateSeconds, numbers: parameters, wire: 'bfloat16' });
  t.deepEqual(scaling.network, { gigabitsPerSecond: 10, latencyMicroseconds: 30 });
  t.like(scaling.strong[0], { ranks: 1, exchangeSeconds: 0, sentBytes: 0, efficiency: 1 });
  t.like(scaling.strong[1], { ranks: 2, batchSize: 16, sentBytes: 2 * parameters });
  t.is(scaling.strong[2], null);
  t.deepEqual(
    scaling.weak.map(({ batchSize }: { batchSize: number }) => batchSize),
    [16, 32, 1024],
  );

  const { code, stdout, stderr } = await ijepaHere(args);
  t.is(code, 0, stderr);
  t.regex(
    stdout,
    /^ {2}predicted {3}for 10 Gbit\/s and 30 µs: 0\.\d\d million gradients in float32, own sum [\d.]+ ns/m,
  );
  t.regex(
    stdout,
    /^ {2}the same batch on more ranks\n.*\n +1 +16 .* 100% +0 B\n +2 +16 .*kB\n +64 +- +fewer images than ranks$/m,
  );
  t.regex(stdout, /^ {2}the same batch on each rank\n.*\n +1 +16 .*\n +2 +32 .*\n +64 +1024 .*kB$/m);
});

test.serial('what cannot be predicted is refused before anything is timed', async (t) => {
  const network = ['--model-network', '10,30'];
  for (const [args, message] of [
    [['--ranks', '2'], /--ranks needs --model-network\n.*add --model-network 10,30/],
    [network, /--model-network needs --ranks/],
    [['--ranks', '2', ...network, '--wire', 'half'], /--wire cannot be "half"/],
    [['--ranks', '2,x', ...network], /--ranks cannot be '2,x'\n {2}expected: whole numbers from 1/],
    [['--ranks', '0', ...network], /--ranks cannot be '0'/],
    [['--ranks', '1.5', ...network], /--ranks cannot be '1\.5'/],
    [['--ranks', '2', '--model-network', '10'], /--model-network cannot be '10'\n {2}expected: two numbers/],
    [['--ranks', '2', '--model-network', '0,30'], /--model-network cannot be '0,30'/],
    [['--ranks', '2', '--model-network', 'Infinity,0'], /--model-network cannot be 'Infinity,0'/],
    [['--ranks', '2', '--model-network', '10,-1'], /--model-network cannot be '10,-1'/],
    [['--ranks', '2', '--model-network', '10,'], /--model-network cannot be \[ '10', '' \]/],
    [['--ranks', '2', '--model-network', '1,2,3'], /--model-network cannot be '1,2,3'/],
    [['--ranks', '2', ...network, '--data', 'folder'], /--ranks is about the training step/],
  ] as const) {
    const { code, stdout, stderr } = await ijepaHere(['bench', ...args]);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, message);
  }
});
