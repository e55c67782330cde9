import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';

test.serial(
  'a run is exported with a card that tells how it was judged, and goes through probe like the run itself',
  async (t) => {
    const folder = await temporaryFolder(t);
    const run = await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run'], folder);
    t.is(run.code, 0, run.stderr);
    const probe = async (model: string, out: string) => {
      const probed = await ijepaHere(
        [
          'probe',
          model,
          '--data',
          'shapes:48',
          '--engine',
          'wasm',
          '--no-baseline',
          ...'--protocol paper --views 0'.split(' '), // what computes least
          '--out',
          out,
          '--json',
        ],
        folder,
      );
      t.is(probed.code, 0, probed.stderr);
      return JSON.parse(probed.stdout);
    };
    const { results } = await probe('run', 'run/probe');
    const exported = await ijepaHere(['export', 'run', '--to', 'hf', '--out', 'out'], folder);
    t.is(exported.code, 0, exported.stderr);
    t.regex(exported.stdout, /AutoModel\.from_pretrained\('out'\)/);
    t.deepEqual(readdirSync(join(folder, 'out')).sort(), [
      'README.md',
      'config.json',
      'curves.png',
      'masks.png',
      'model.safetensors',
      'preprocessor_config.json',
      'pretraining.yaml',
    ]);
    const card = readFileSync(join(folder, 'out', 'README.md'), 'utf8');
    t.true(card.startsWith('---\nlibrary_name: transformers\n'));
    t.regex(card, /# ViT 16x1\/4, I-JEPA/);
    t.regex(card, /without labels by I-JEPA on shapes:48 for 1 epoch:/);
    t.regex(card, /\| \*\*I-JEPA/);
    const again = await probe('out', 'again');
    const accuracy = (all: typeof results) => all[0].best;
    t.deepEqual(accuracy(again.results), accuracy(results));

    const named = await ijepaHere(['export', 'run', '--to', 'hf', '--out', 'named', '--head', 'run/probe'], folder);
    t.is(named.code, 0, named.stderr);
    t.regex(readFileSync(join(folder, 'named', 'README.md'), 'utf8'), /names of 8 classes, by a linear head/);
    const { id2label } = JSON.parse(readFileSync(join(folder, 'named', 'config.json'), 'utf8'));
    t.is(Object.keys(id2label).length, 8);
    const context = ['export', 'run', '--encoder', 'context', '--to', 'hf', '--out', 'no', '--head', 'run/probe'];
    const other = await ijepaHere(context, folder);
    t.is(other.code, 2);
    t.regex(other.stderr, /belongs to another encoder/);

    const refused = await ijepaHere(['export', 'run', '--to', 'timm', '--out', 'out'], folder);
    t.is(refused.code, 2);
    t.regex(refused.stderr, /out is not empty[\s\S]*use --force/);
    const forced = await ijepaHere(['export', 'run', '--to', 'timm', '--out', 'out', '--force', '--json'], folder);
    t.is(forced.code, 0, forced.stderr);
    t.like(JSON.parse(forced.stdout), { model: 'run', to: 'timm', out: 'out' });
    t.false(readdirSync(join(folder, 'out')).includes('preprocessor_config.json'));

    const models = await ijepaHere(
      ['export', 'run', '--to', 'onnx', '--precision', 'fp32,q8', '--out', 'models'],
      folder,
    );
    t.is(models.code, 0, models.stderr);
    t.regex(models.stdout, /pipeline\('image-feature-extraction', '\.\/models', \{ dtype: 'fp32' \}\)/);
    t.deepEqual(readdirSync(join(folder, 'models', 'onnx')).sort(), ['model.onnx', 'model_quantized.onnx']);
    const config = JSON.parse(readFileSync(join(folder, 'models', 'config.json'), 'utf8'));
    t.like(config, { model_type: 'ijepa', 'transformers.js_config': { use_external_data_format: {} } });
    t.regex(readFileSync(join(folder, 'models', 'README.md'), 'utf8'), /^```javascript$/m);
    const shown = await ijepaHere(['convert', 'out'], folder);
    t.regex(shown.stdout, /model +ViT 16x1\/4 at 16 px, encoder of out\ntrained +I-JEPA, 1 epoch, on shapes:48/);
  },
);

test.serial('what cannot be exported is said in one message, and nothing is written', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'mine'));
  await writeFile(join(folder, 'mine', 'notes.txt'), 'mine');
  await writeFile(join(folder, 'text.safetensors'), 'a text');
  const cases: [words: string[], message: RegExp][] = [
    [['export', 'missing', '--to', 'hf', '--out', 'new'], /missing does not exist/],
    [['export', 'text.safetensors', '--to', 'hf', '--out', 'new'], /damaged or not a safetensors file/],
    [['export', 'mine', '--to', 'hf', '--out', 'new'], /there is no checkpoint in the folder mine/],
    [['export', 'mine', '--to', 'hf', '--out', 'mine', '--force'], /mine is not empty[\s\S]*choose another --out/],
    [['export', 'mine', '--to', 'hugging', '--out', 'new'], /one of hf, timm/],
    [['export', 'mine', '--to', 'hf'], /--out/],
    [['export', 'mine', '--to', 'safetensors', '--out', 'new', '--precision', 'fp32,fp16'], /fp32,fp16 does not go/],
    [['export', 'mine', '--to', 'hf', '--out', 'new', '--precision', 'q8'], /--precision q8 does not go with --to hf/],
    [['convert', 'mine', '--to', 'hf'], /--to and --out belong together/],
  ];
  for (const [words, message] of cases) {
    const { code, stderr, stdout } = await ijepaHere(words, folder);
    t.is(code, 2, words.join(' '));
    t.regex(stderr, message);
    t.is(stdout, '');
  }
  t.deepEqual(readdirSync(folder).sort(), ['mine', 'text.safetensors']);
  t.deepEqual(readdirSync(join(folder, 'mine')), ['notes.txt']);
});
