import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import { isRunning } from '../../core/nn/batch-norm.js';
import { runFolder } from '../../core/run/run-folder.js';
import { differences } from '../faults/differences.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { stoppedHere } from '../helpers/faults.js';

/** Four steps of two parts, after each of which a checkpoint is written. */
const RUN = [
  'pretrain',
  ...'shapes:32 --method simclr --backbone resnet14 --width 0.0625 --selective-kernels --output-dim 8'.split(' '),
  ...'--image-size 16 --batch-size 8 --micro-batch-size 4 --epochs 1 --save-every-steps 1'.split(' '),
  ...'--watch-images 8 --watch-every-steps 4 --engine onnx --threads 1'.split(' '),
];

test.serial(
  'a run of a residual network that was stopped ends in the same bytes, and speaks of no masks',
  async (t) => {
    const folder = await temporaryFolder(t);
    const [whole, run] = [join(folder, 'whole'), join(folder, 'run')];
    const trained = await ijepaHere([...RUN, '--out', whole]);
    t.is(trained.code, 0, trained.stderr);
    const said = trained.stdout + trained.stderr;
    t.regex(said, /model +encoder RN14 \(0\.0625x\+SK\), .*; 16 px\n/);
    t.regex(said, /note +batch norm goes by the 4 images that are computed together/);
    t.regex(said, /masks\.png +crops that it learned from/);
    t.notRegex(said, /patch|predict/);

    const stopped = await stoppedHere([...RUN, '--out', run], run, 1);
    t.is(stopped.code, 143, stopped.stderr);
    const resumed = await ijepaHere(['pretrain', '--resume', '--out', run]);
    t.is(resumed.code, 0, resumed.stderr);
    t.deepEqual(await differences(runFolder(run), runFolder(whole)), []);

    const { tensors } = await readSafetensors(join(run, 'checkpoints', 'latest.safetensors'));
    const running = [...tensors].filter(([name]) => isRunning(name) && name.includes('select.bn1'));
    t.is(running.length, 8, 'a mean and a variance of each block');
    for (const [name, { data }] of running) {
      t.true(
        [...data].some((value) => Number(value) !== (name.endsWith('mean') ? 0 : 1)),
        `${name} stayed as it was`,
      );
    }
    const record = await readFile(runFolder(run).config, 'utf8');
    t.regex(record, /selectiveKernels: true/);
  },
);
