import assert from 'node:assert';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { readConfigFile } from '../../../core/config/file.js';
import { readRunRecord } from '../../../core/config/record.js';
import { resolveOptions } from '../../../core/config/resolve.js';
import { schemaOf } from '../../../core/config/schema.js';
import { cropSettings } from '../../../core/data/crop.js';
import { isStillThere, readDownloadRecord } from '../../../core/data/download.js';
import { SkippedImages } from '../../../core/data/skipped.js';
import { mergeResults, readResults, writeResults } from '../../../core/eval/results.js';
import { type RemoteFile, readPart } from '../../../core/fetch/download.js';
import { checkMethodOptions } from '../../../core/methods/create.js';
import { METHODS } from '../../../core/methods/registry.js';
import { runFolder } from '../../../core/run/run-folder.js';
import { type LogRow, openRunLog, readLastRow, readRunLog, runCompute } from '../../../core/run/run-log.js';
import { evaluationResult } from '../../helpers/evaluation.js';
import { logRow } from '../../helpers/log-row.js';
import { editedJson } from '../json.js';
import { editedLines } from '../lines.js';
import type { FuzzedReader } from '../reader.js';

const asFile = (text: fc.Arbitrary<string>) => text.map((content) => Buffer.from(content));

/** The record of a run of each method. */
const RUNS = METHODS.map(({ name }) => ({
  ...resolveOptions({ methods: METHODS, flags: { method: name, epochs: 2 } }).options,
  run: {
    started: '2026-01-01',
    microBatchSize: 16,
    data: { images: 168, fingerprint: 'abc' },
    engine: { name: 'onnx' },
    broughtBy: { 'loss l2': 'objectives' },
  },
}));
const ROW = logRow(1, { featureRank: 3.5, monitors: { collapse: { value: 1, none: null } } });
const COLUMNS = { terms: ['prediction'], method: ['targetStd'], rates: ['learningRate', 'ema'] };

/** What YAML can do beyond JSON. */
const YAML = [
  `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join()}]`).join('\n')}\n`,
  ...[
    'data: &a [*a]\n',
    '&a a: *a\n',
    'epochs: *nothing\n',
    'arch: &a vit-tiny\ndata: [*a, *a]\n',
    '? [a, b]\n: 1\n',
    '? {a: 1}\n: 1\n',
  ],
  ...[
    'epochs: !!binary aGk=\n',
    'data: !!set {a, b}\n',
    '!!omap [a: 1]\n',
    'epochs: !!js/function "x"\n',
    'epochs: !strange 1\n',
  ],
  ...[
    '%YAML 1.1\n---\n<<: {epochs: 1}\n',
    '%YAML 9.9\n---\nepochs: 1\n',
    'epochs: 1\nepochs: 2\n',
    'epochs: 1\n---\nepochs: 2\n',
  ],
  ...[
    'epochs: 1_000\n',
    'epochs: 0o17\n',
    'epochs: .inf\n',
    'epochs: .nan\n',
    'epochs: 1e400\n',
    `epochs: 1${'0'.repeat(5000)}\n`,
  ],
  ...[
    '__proto__: {polluted: true}\n',
    '"__proto__": 1\n',
    'constructor: {prototype: {polluted: true}}\n',
    '- a\n- b\n',
    'text\n',
    '# note\n',
  ],
  ...[
    'data: "\\u001b[2J"\n',
    'epochs: "\\0"\n',
    'data: |\n  a\n  b\n',
    'a: [\n',
    'a: "\n',
    'a:\n\t- b\n',
    `a: ${'['.repeat(5000)}\n`,
  ],
  ...[
    `a: ${'{a: '.repeat(3000)}\n`,
    `${'- '.repeat(5000)}a\n`,
    `${'? '.repeat(5000)}a\n`,
    `a: ${'!'.repeat(20_000)}\n`,
    `${' '.repeat(20_000)}a: b\n`,
  ],
  ...[
    `cropScale: ${'.'.repeat(30_000)}x\n`,
    `cropScale: ${'1'.repeat(30_000)}x\n`,
    `preset: ${'x'.repeat(30_000)}\n`,
    'preset: [demo]\n',
  ],
];
const yaml = fc.oneof(
  { weight: 2, arbitrary: editedJson(fc.constantFrom(...RUNS)) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.constantFrom(...YAML, 'epochs: 3\n', 'arch: vit-tiny\n', 'cropScale: 0.3-1\n'), { maxLength: 4 })
      .map((parts) => parts.join('')),
  },
);

/** What a command does with a configuration file that it was given. */
async function configure(path: string): Promise<void> {
  const file = await readConfigFile(path);
  const { method, options } = resolveOptions({ methods: METHODS, file, flags: {} });
  cropSettings(options);
  checkMethodOptions(method, options);
}

export const recordReaders: readonly FuzzedReader[] = [
  { name: 'configuration-yaml', file: 'x.yaml', inputs: asFile(yaml), read: configure },
  {
    name: 'configuration-json',
    file: 'x.json',
    inputs: asFile(editedJson(fc.constantFrom(...RUNS.map((run) => ({ preset: 'demo', ...run }))))),
    read: configure,
  },
  {
    name: 'run-record',
    file: 'config.yaml',
    inputs: asFile(yaml),
    async read(path) {
      const { method, options } = await readRunRecord(path, async () => METHODS);
      assert(Object.keys(schemaOf(method)).every((name) => options[name] !== undefined));
    },
  },
  {
    name: 'run-log',
    file: 'log.jsonl',
    inputs: asFile(
      fc
        .array(fc.oneof(fc.constant(JSON.stringify(ROW)), editedJson(fc.constant(ROW))), { maxLength: 4 })
        .map((rows) => rows.join('\n')),
    ),
    prepare: async (folder) => {
      await mkdir(runFolder(folder).checkpoints, { recursive: true });
    },
    async read(path) {
      const folder = runFolder(dirname(path));
      for (const row of readRunLog(folder)) checkRow(row);
      runCompute(folder.path);
      await readLastRow(folder);
      (await openRunLog(folder, 3, COLUMNS)).log.close();
    },
  },
  {
    name: 'results',
    file: 'results.json',
    inputs: asFile(editedJson(fc.constant([evaluationResult(), evaluationResult({ kind: 'linear' })]))),
    async read(path) {
      const results = await readResults(path);
      await writeResults(join(dirname(path), 'again.json'), mergeResults(results, results));
    },
  },
  {
    name: 'download-record',
    file: '.ijepa-download.json',
    inputs: asFile(
      editedJson(
        fc.constant({
          format: 'ijepa-download-1',
          files: { 'a.zip': { url: 'https://host/a.zip', bytes: 10, checksum: null, unpacked: ['a', 'b'] } },
        }),
      ),
    ),
    async read(path) {
      const folder = dirname(path);
      const { files } = await readDownloadRecord(folder);
      for (const [name, fetched] of Object.entries(files)) await isStillThere(folder, name, fetched);
    },
  },
  {
    name: 'part-record',
    file: 'x.part.json',
    inputs: asFile(editedJson(fc.constant({ url: 'https://host/x', validator: '"tag"', total: 100 }))),
    prepare: (folder) => writeFile(join(folder, 'x.part'), 'what has arrived'),
    async read(path) {
      const file: RemoteFile = { url: 'https://host/x', checksum: { algorithm: 'md5', hex: 'x' } };
      const { bytes, total } = await readPart(file, path.slice(0, -'.part.json'.length));
      assert(total === null || bytes <= total);
    },
  },
  {
    name: 'skipped',
    file: 'skipped.txt',
    inputs: editedLines(['a.jpg\tno reason', 'b.jpg\tit is cut', 'c.jpg']),
    async read(path) {
      assert(Number.isSafeInteger(new SkippedImages(path, 1e6, 1).count));
    },
  },
];

function checkRow({ terms, method, rates, monitors, ...numbers }: LogRow): void {
  const all = [numbers, terms, method, rates, ...Object.values(monitors ?? {})].flatMap((own) => Object.entries(own));
  for (const [name, value] of all) {
    assert(value === null || typeof value === 'number', `${name} is ${typeof value}`);
  }
}
