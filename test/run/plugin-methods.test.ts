import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { readSafetensors } from '../../core/checkpoint/safetensors.js';
import type { LogRow } from '../../core/run/run-log.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { stoppedHere } from '../helpers/faults.js';
import { ROOT } from '../helpers/paths.js';

/** SimCLR with small crops beside large ones, and a centre of its own, as a user would write it. */
const PLUGIN = `
import { encoderPass, encoderSize, defineMethod, number, project, tf } from ${JSON.stringify(
  pathToFileURL(join(ROOT, 'dist', 'core', 'plugin.js')).href,
)};

function ntXent(z, temperature) {
  const rows = z.shape[0];
  const unit = z.div(z.square().sum(1, true).add(1e-12).sqrt());
  const logits = tf.matMul(unit, unit, false, true).div(temperature).sub(tf.eye(rows).mul(1e9));
  const partner = tf.oneHot(tf.tensor1d(Int32Array.from({ length: rows }, (_, at) => at ^ 1), 'int32'), rows);
  return tf.logSoftmax(logits).mul(partner.cast('float32')).sum().div(-rows);
}

const contrast = defineMethod({
  name: 'contrast',
  title: 'Contrast',
  summary: 'views of an image are alike, those of others are not',
  options: { temperature: number({ group: 'Objective', default: 0.2, min: 0.01, help: 'of similarities' }) },
  defaults: { batchSize: 8 },
  presets: {},
  create({ temperature }, { backbone }) {
    const { dim } = backbone.encoder;
    const embed = (networks, images) => project(networks.head, 'fc', backbone.forward(networks.encoder, images).mean(1));
    return {
      networks: {
        encoder: { shapes: backbone.shapes, role: { by: 'gradient' } },
        head: { shapes: { 'fc.weight': [8, dim], 'fc.bias': [8] }, role: { by: 'gradient' } },
      },
      views: [
        { name: 'large', count: 2 },
        { name: 'small', count: 3, crop: { imageSize: 16, cropScale: [0.05, 0.3] } },
      ],
      encoders: { online: 'encoder' },
      sizes: { encoder: backbone.encoder },
      masks: {},
      targets: (networks, { views, state }) => ({ z: embed(networks, views.small).sub(state.centre) }),
      outputs: (networks, { views }) => ({ z: embed(networks, views.large) }),
      terms: [
        { name: 'nt-xent', weight: 1, over: 'batch', rows: ({ z }) => z, compute: (z) => ntXent(z, temperature) },
        {
          name: 'distance',
          weight: 0.1,
          over: 'images',
          compute: ({ z }, targets, { rates }) => z.mean().sub(targets.z.mean()).square().div(rates.sharpness),
        },
      ],
      state: {
        initial: { centre: { shape: [8], values: new Float32Array(8) } },
        statistics: (_, { z }, { fraction }) => ({ mean: z.mean(0).mul(fraction) }),
        next: ({ centre }, { mean }) => ({ centre: centre.mul(0.9).add(mean.mul(0.1)) }),
      },
      rates: { sharpness: (step) => 1 / step },
      logs: [],
      dispose: () => {},
    };
  },
  describe: ({ temperature }) => 'contrast at ' + temperature,
  passes: (options) => [
    encoderPass(encoderSize(options), options.patchSize, {
      rows: 2,
      patches: (options.imageSize / options.patchSize) ** 2,
      trained: true,
    }),
  ],
});

export default { name: 'mine', summary: 'a method of my own', methods: [contrast] };
`;

test.serial(
  'a method of a plugin with several views, rates and a state of its own trains, and goes on with the same bytes',
  async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'mine.mjs'), PLUGIN);
    await writeFile(join(folder, 'c.yaml'), 'plugins: [./mine.mjs]\nmethod: contrast\n');
    const small = '--image-size 16 --patch-size 4 --dim 16 --depth 1 --heads 2 --watch-images 8 --watch-every-steps 4';
    const args = ['pretrain', 'shapes:48', ...small.split(' '), '--config', 'c.yaml'];
    const more = ['--epochs', '2', '--micro-batch-size', '3', '--temperature', '0.5'];
    const whole = await ijepaHere([...args, ...more, '--out', 'whole'], folder);
    t.is(whole.code, 0, whole.stderr);
    t.regex(whole.stdout, /^method +Contrast: contrast at 0\.5$/m);
    const run = join(folder, 'stopped');
    const stopped = await stoppedHere([...args, ...more, '--out', 'stopped'], run, 4, 'SIGTERM', folder);
    t.is(stopped.code, 143, stopped.stderr);
    const again = await ijepaHere(['pretrain', '--out', 'stopped', '--resume'], folder);
    t.is(again.code, 0, again.stderr);
    const latest = (run: string) => join(folder, run, 'checkpoints', 'latest.safetensors');
    t.true((await readFile(latest('stopped'))).equals(await readFile(latest('whole'))));

    const rows: LogRow[] = (await readFile(join(folder, 'whole', 'log.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    t.is(rows.length, 12);
    for (const { step, loss, terms, rates } of rows) {
      t.deepEqual(Object.keys(terms), ['nt-xent', 'distance']);
      t.is(rates.sharpness, 1 / step);
      t.true(Math.abs(loss - ((terms['nt-xent'] ?? 0) + 0.1 * (terms.distance ?? 0))) < 1e-4);
    }
    const { tensors, metadata } = await readSafetensors(latest('whole'));
    const centre = tensors.get('state.centre');
    t.deepEqual(centre?.shape, [8]);
    t.true([...(centre?.data ?? [])].some((value) => value !== 0));
    t.like(JSON.parse(metadata.model ?? ''), { method: 'Contrast', encoders: { online: 'encoder' } });
  },
);
