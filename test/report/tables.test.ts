import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { type FineTuneProtocol, SMALL_FINE_TUNING } from '../../core/eval/fine-tune-settings.js';
import type { EvaluationResult } from '../../core/eval/results.js';
import { writeResults } from '../../core/eval/results.js';
import { PUBLISHED } from '../../core/methods/published.js';
import { writeChart } from '../../core/report/evaluation-chart.js';
import { isFigure, type ResultRow, type ResultTable } from '../../core/report/result-table.js';
import { allNotes, tableCsv, tableLatex, tableMarkdown, tableText } from '../../core/report/table-formats.js';
import { evaluationTables } from '../../core/report/tables.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { accuracies, evaluationResult } from '../helpers/evaluation.js';

/** The cells of a row in short: '95.1†‡*'. */
function words({ cells }: ResultRow): string[] {
  return cells.map((cell) => {
    if (cell === null) return '';
    return isFigure(cell) ? `${cell.value}${cell.marks.join('')}${cell.best ? '*' : ''}` : cell.text;
  });
}

function tableOf(results: readonly EvaluationResult[], name: string): ResultTable {
  const table = evaluationTables(results, PUBLISHED).find((one) => one.name === name);
  if (!table) throw new Error(`there is no table ${name}`);
  return table;
}

const rowsOf = ({ groups }: ResultTable) => groups.flatMap(({ rows }) => rows);
const measured = (table: ResultTable) => rowsOf(table).filter(({ source }) => source === 'measured');
const SHAPES = {
  kind: 'linear',
  dataSet: 'shapes',
  dataDescription: 'pictures of shapes',
  classes: 10,
  trainImages: 800,
  testImages: 200,
  protocolName: 'quick',
} as const;

test('without results there are the five tables of the paper, and nothing in them is measured', (t) => {
  const tables = evaluationTables([], PUBLISHED);
  t.is(tables.length, 5);
  t.deepEqual(
    tables.map((table) => rowsOf(table).length),
    [13, 11, 5, 5, 3],
  );
  for (const table of tables) {
    t.is(measured(table).length, 0);
    t.true(rowsOf(table).every(({ cells }) => cells.length === table.columns.length));
    t.true(rowsOf(table).every(({ cells }) => cells.filter(isFigure).every(({ interval }) => interval === null)));
  }
});

test('tables of the paper that show the same values agree', (t) => {
  const row = (name: string, at: number) => PUBLISHED.tables.find((table) => table.name === name)?.groups[0]?.rows[at];
  const scale = row('pretraining-scale', 0);
  t.deepEqual(
    [...(row('transfer-classification', 2) ?? []).slice(2), ...(row('transfer-low-level', 2) ?? []).slice(2)],
    scale?.slice(2),
  );
});

test("a network's data sets are one row, its random initialisation the row below", (t) => {
  const results = [
    evaluationResult({ top1: 12, network: { weights: 'random' } }),
    evaluationResult({ top1: 61 }),
    evaluationResult({ top1: 70, network: { arch: 'ViT-B/16' } }),
    evaluationResult({ top1: 33, dataSet: 'Places205', classes: 205, trainImages: 2_448_873, testImages: 20_500 }),
    evaluationResult({ top1: 44, dataSet: 'clevr-dist', classes: 6, trainImages: 70_000, testImages: 15_000 }),
  ];
  const table = tableOf(results, 'transfer-classification');
  t.deepEqual(measured(table).map(words), [
    ['I-JEPA', 'ViT-S/16', '61', '33', ''],
    ['random initialisation', 'ViT-S/16', '12', '', ''],
    ['I-JEPA', 'ViT-B/16', '70', '', ''],
  ]);
  t.is(table.groups[0]?.rows.length, 6);
  t.is(table.groups[1]?.rows.length, 2);
  t.deepEqual(measured(tableOf(results, 'transfer-low-level')).map(words), [['I-JEPA', 'ViT-S/16', '', '44']]);
  t.deepEqual(words(measured(tableOf(results, 'pretraining-scale'))[0] as ResultRow), [
    ...['folder of photographs', 'ViT-S/16', '61', '33', '', '', '44'],
  ]);
});

test('networks of all methods and their random initialisation, which is shown once, are rows of one table', (t) => {
  const network = { arch: 'ViT-S/16' };
  const results = ['I-JEPA', 'MAE', 'data2vec'].flatMap((method, at) => [
    evaluationResult({ top1: 50 + at, network: { ...network, method, checkpoint: `runs/${method}` } }),
    evaluationResult({
      top1: 10 + at,
      network: { ...network, weights: 'random' },
      measuredAt: `2026-01-0${9 - at}T00:00:00.000Z`,
    }),
  ]);
  const context = { ...network, encoder: 'context', checkpoint: 'runs/I-JEPA' };
  const table = tableOf([...results, evaluationResult({ top1: 49, network: context })], 'transfer-classification');
  t.deepEqual(
    measured(table).map((row) => words(row).slice(0, 3)),
    [
      ['I-JEPA', 'ViT-S/16', '50'],
      ['MAE', 'ViT-S/16', '51'],
      ['data2vec', 'ViT-S/16', '52'],
      ['I-JEPA (context encoder)', 'ViT-S/16', '49'],
      ['random initialisation', 'ViT-S/16', '10'], // the newest
    ],
  );
  const shapes = results.map((result) => ({ ...result, ...SHAPES }));
  t.deepEqual(
    measured(tableOf(shapes, 'shapes-linear')).map((row) => words(row)[0]),
    ['I-JEPA', 'MAE', 'data2vec', 'random initialisation', 'raw pixels'],
  );
});

test('published rows say what they share with measured ones, and these what of the network was judged', (t) => {
  const imagenet = {
    kind: 'linear',
    dataSet: 'imagenet',
    classes: 1000,
    trainImages: 1_281_167,
    testImages: 50_000,
  } as const;
  const best = { ...accuracies(70), name: 'last-4, batch norm' };
  const network = { method: 'DINO', arch: 'ViT-B/8', pooling: 'class token' } as const;
  const results = [
    evaluationResult({ ...imagenet, best, network }),
    evaluationResult({ ...imagenet, network: { method: 'MAE', arch: 'ViT-L/16', pooling: 'average pooling' } }),
    evaluationResult({ ...imagenet, network: { weights: 'random', arch: 'ViT-B/16' } }),
  ];
  const table = tableOf(results, 'linear-imagenet');
  const shared = rowsOf(table).filter(({ shares }) => shares);
  t.deepEqual(
    shared.map((row) => [...words(row).slice(0, 2), row.shares]),
    [
      ['MAE', 'ViT-B/16', 'method'], // random weights of that architecture are of no method
      ['MAE', 'ViT-L/16', 'method and backbone'],
      ['MAE', 'ViT-H/14', 'method'],
      ['DINO', 'ViT-B/8', 'method and backbone'],
    ],
  );
  const notes = measured(table).map(({ note }) => note?.text ?? '');
  t.regex(notes[0] ?? '', /; features: class token of the last four layers/);
  t.regex(notes[1] ?? '', /; features: average pooling;/);
  t.notRegex(notes[2] ?? '', /features/, 'results of earlier versions do not tell');
  t.regex(tableMarkdown(table), /DINO \| ViT-B\/8 \| 300 \| 80\.1\*? \| published, same method and backbone/);
  for (const colour of [true, false]) {
    t.regex(tableText(table, colour, 160), /MAE.*ViT-H\/14.*published, same method\b(?! and)/);
  }
  t.regex(tableCsv(table), /,"published, same method and backbone",MAE,ViT-L\/16/);
});

test("the table of one method's sizes has no rows of other methods", (t) => {
  const results = [
    evaluationResult({ network: { method: 'MAE' } }),
    evaluationResult({ network: { weights: 'random' } }),
  ];
  t.deepEqual(measured(tableOf(results, 'pretraining-scale')), []);
  const own = measured(tableOf([...results, evaluationResult()], 'pretraining-scale'));
  t.is(own.length, 2);
  t.is(measured(tableOf(results, 'transfer-classification')).length, 2);
});

test('by the whole protocol an own result can be the best of its column, and a worse one is not', (t) => {
  const best = (top1: number) =>
    rowsOf(tableOf([evaluationResult({ top1 })], 'transfer-classification')).flatMap((row) =>
      words(row)[2]?.endsWith('*') ? [row.source] : [],
    );
  t.deepEqual(best(88.4), ['measured']);
  t.deepEqual(best(88.31), ['measured', 'published'], 'a tie in what is shown');
  t.deepEqual(best(88.1), ['published']);
});

test('quick results and results on a part of the data are marked and never the best', (t) => {
  const table = tableOf(
    [
      evaluationResult({ top1: 99, protocolName: 'quick' }),
      evaluationResult({ top1: 98, dataSet: 'inat18', classes: 8142, trainImages: 437_513, testImages: 500 }),
    ],
    'transfer-classification',
  );
  t.deepEqual(measured(table).map(words), [['I-JEPA', 'ViT-S/16', '99†', '', '98‡']]);
  const published = rowsOf(table).filter(({ source }) => source === 'published');
  t.deepEqual(words(published.at(-1) as ResultRow), ['iBOT', 'ViT-L/16', '88.3*', '60.4*', '57.3*']);
  t.true(table.notes.some((note) => note.startsWith('†') && note.includes('quick protocol')));
  t.true(table.notes.some((note) => note.startsWith('‡') && note.includes('500 of 24,426 test images')));
});

test('other data sets, other classes and more labels never stand in a column of the paper', (t) => {
  const others = [
    evaluationResult({ ...SHAPES }),
    evaluationResult({ kind: 'linear', dataSet: 'imagenet', trainImages: 126_689, testImages: 5000 }), // 100 classes
    evaluationResult({ dataSet: 'cifar100', classes: 20 }),
    evaluationResult({
      kind: 'semi-supervised',
      dataSet: 'imagenet',
      classes: 1000,
      trainImages: 128_116,
      testImages: 50_000,
    }),
  ];
  const tables = evaluationTables(others, PUBLISHED);
  t.is(tables.length, 5 + others.length);
  for (const table of tables.slice(0, 5)) t.is(measured(table).length, 0, table.name);
  for (const table of tables.slice(5)) {
    t.is(measured(table).length, 2); // and the raw pixels
    t.notRegex(table.title, /paper/);
  }
});

test('1% of the labels may be the published split or a stratified sample', (t) => {
  for (const trainImages of [12_811, 13_000]) {
    const result = evaluationResult({
      kind: 'semi-supervised',
      dataSet: 'imagenet',
      classes: 1000,
      trainImages,
      testImages: 50_000,
    });
    const [row] = measured(tableOf([result], 'semi-supervised-imagenet'));
    t.deepEqual(row && words(row), ['I-JEPA', 'ViT-S/16', '100', '40']);
    t.regex(row?.note?.text ?? '', /linear probe only, it was not fine-tuned/);
  }
});

test("fine-tuning by the paper's protocol competes with published values, any other one is marked", (t) => {
  const fewLabels = { kind: 'semi-supervised', dataSet: 'imagenet', classes: 1000, testImages: 50_000 } as const;
  const tuned = (protocol: FineTuneProtocol, top1: number) => {
    const fineTuning = { ...accuracies(top1), curve: [top1], protocol, settings: SMALL_FINE_TUNING };
    return evaluationResult({ ...fewLabels, trainImages: 12_811, top1, fineTuning });
  };
  const shownOf = (...results: EvaluationResult[]) => {
    const table = tableOf(results, 'semi-supervised-imagenet');
    const [row] = measured(table);
    const marks = table.notes.filter((note) => note.startsWith('†'));
    return [row && words(row).at(-1), /; (fine-tuned[^;.]*)/.exec(row?.note?.text ?? '')?.[1], marks.length];
  };
  t.deepEqual(shownOf(tuned('paper', 90)), ['90*', "fine-tuned by the paper's protocol", 0]);
  t.deepEqual(shownOf(tuned('own', 90)), ['90†', 'fine-tuned with settings of its own', 1]);
  t.deepEqual(shownOf(tuned('small', 90), tuned('paper', 40)).slice(0, 1), ['40'], "the paper's is shown first");
});

test('a data set of its own has a column for each classifier, and a row for the raw pixels', (t) => {
  const network = { arch: 'ViT 96x4/8', imageSize: 64, epochs: 5 };
  const table = tableOf(
    [
      evaluationResult({ ...SHAPES, top1: 41, network: { ...network, weights: 'random' } }),
      evaluationResult({ ...SHAPES, top1: 60, network, ridge: null }),
    ],
    'shapes-linear',
  );
  t.deepEqual(
    table.columns.map(({ name }) => name),
    ['Method', 'Arch.', 'Epochs', 'Top-1', 'Top-5', 'Logistic', 'Ridge', 'kNN'],
  );
  t.deepEqual(rowsOf(table).map(words), [
    ['I-JEPA', 'ViT 96x4/8-64', '5', '60†*', '70†*', '59*', '', '55*'],
    ['random initialisation', 'ViT 96x4/8-64', '0', '41†', '51†', '40', '39', '36'],
    ['raw pixels', '', '', '', '', '', '', '15'],
  ]);
  t.regex(
    table.groups[0]?.rows[0]?.note?.text ?? '',
    /best head: last, batch norm, chosen on the test images; logistic/,
  );
});

test('data sets of the same name in other places are not compared', (t) => {
  const names = evaluationTables(
    [
      evaluationResult({ ...SHAPES, dataSet: 'folder', dataDescription: 'stamps' }),
      evaluationResult({ ...SHAPES, dataSet: 'folder', dataDescription: 'coins' }),
    ],
    PUBLISHED,
  ).map(({ name }) => name);
  t.is(names.filter((name) => name === 'folder-linear').length, 2);
});

test('two protocols on one data set are not compared with one another', (t) => {
  const table = tableOf(
    [evaluationResult({ ...SHAPES, top1: 60 }), evaluationResult({ ...SHAPES, top1: 50, protocolName: 'paper' })],
    'shapes-linear',
  );
  t.deepEqual(
    rowsOf(table).map((row) => words(row)[3]),
    ['60†', '50', ''],
  );
});

test('heads that were chosen on different images are not compared, and the notes say which were which', (t) => {
  const network = { epochs: 7 };
  const table = tableOf(
    [
      evaluationResult({ ...SHAPES, top1: 60 }),
      evaluationResult({ ...SHAPES, top1: 50, network, selection: 'validation', logistic: null }),
    ],
    'shapes-linear',
  );
  t.deepEqual(
    rowsOf(table).map((row) => words(row).slice(3, 6)),
    [
      ['60†', '70†', '59'],
      ['50†', '60†', ''],
      ['', '', ''],
    ],
  );
  t.true(table.notes.some((note) => /chosen on the test images.*; or .*held-out tenth.*see the rows/.test(note)));
});

test('of several results of a network, which is better plays no part', (t) => {
  const shownOf = (results: EvaluationResult[]) =>
    measured(tableOf(results, 'transfer-classification')).map((row) => words(row)[2]);
  const quick = evaluationResult({ top1: 70, protocolName: 'quick', measuredAt: '2026-03-01T00:00:00.000Z' });
  t.deepEqual(shownOf([quick, evaluationResult({ top1: 60 })]), ['60']);
  const later = evaluationResult({ top1: 55, measuredAt: '2026-02-01T00:00:00.000Z' });
  t.deepEqual(shownOf([later, evaluationResult({ top1: 60 })]), ['55']);
  const [row] = measured(tableOf([later, evaluationResult({ top1: 60 })], 'transfer-classification'));
  t.regex(row?.note?.text ?? '', /not shown: 1/);
});

test('text fits the terminal, says where rows come from, and keeps every value', (t) => {
  const results = [
    evaluationResult({ top1: 61.24 }),
    evaluationResult({ top1: 98, dataSet: 'inat18', classes: 8142, trainImages: 5000, testImages: 500 }),
  ];
  for (const table of evaluationTables(results, PUBLISHED)) {
    for (const width of [40, 80, 100, 200]) {
      const text = tableText(table, false, width);
      // A path is not broken.
      const lines = text.split('\n').filter((line) => !line.includes('/checkpoints/'));
      t.true(
        lines.every((line) => line.length <= width),
        `${table.name} at ${width}`,
      );
      t.true(text.includes('published'));
      t.is(
        text.includes('measured\n') || text.includes('(measured)') || /measured +(│)?$/m.test(text),
        measured(table).length > 0,
      );
      for (const row of rowsOf(table)) {
        for (const cell of row.cells) if (isFigure(cell)) t.true(text.includes(cell.value.toFixed(1)));
      }
    }
  }
  const wide = tableText(tableOf(results, 'transfer-classification'), false, 200);
  t.regex(wide, /I-JEPA \[1\].*61\.2 \[59\.7, 62\.5\].*98\.0‡ \[96\.5, 99\.3\].*measured/);
  const coloured = tableText(tableOf(results, 'transfer-classification'), true, 200);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the codes of dim and bold
  t.regex(coloured, /\x1b\[2mMAE[^\n]*/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
  t.regex(coloured, /\x1b\[1mI-JEPA \[1\]/);
});

test('what could harm a form is escaped', (t) => {
  const pretrainedOn = 'my_data & 50% "x", a|b #1 ~\x1b[31m {y}\\z\n<b>';
  const table = tableOf([evaluationResult({ top1: 61, network: { pretrainedOn } })], 'pretraining-scale');
  for (const text of [tableText(table, false, 200), tableCsv(table), tableMarkdown(table), tableLatex(table)]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be there
    t.notRegex(text, /[\x00-\x09\x0b\x0c\x0e-\x1f]/);
  }
  t.true(tableCsv(table).includes('"my_data & 50% ""x"", a|b #1 ~?[31m {y}\\z?<b>"'));
  t.true(tableMarkdown(table).includes('**my\\_data &amp; 50% "x", a\\|b \\#1 \\~?\\[31m {y}\\\\z?\\<b\\>'));
  t.true(
    tableLatex(table).includes(
      "my\\_data \\& 50\\% ''x'', a\\textbar{}b \\#1 \\textasciitilde{}?{[}31m \\{y\\}\\textbackslash{}z?\\textless{}b\\textgreater{}",
    ),
  );
});

test('CSV has a line for each row with all fields, values unrounded, and remarks in words', (t) => {
  const result = evaluationResult({ top1: 61.2345, protocolName: 'quick', testImages: 500 });
  const table = tableOf([result], 'transfer-low-level');
  t.is(tableCsv(table).trimEnd().split('\r\n').length, 1 + rowsOf(table).length);
  const lines = tableCsv(tableOf([result], 'transfer-classification'))
    .trimEnd()
    .split('\r\n');
  const own = lines.filter((line) => line.includes(',measured,'));
  t.is(own.length, 1);
  t.regex(
    own[0] ?? '',
    /,measured,I-JEPA,ViT-S\/16,61\.2345,59\.7345,62\.4845,not the paper's protocol; part of the data set,/,
  );
});

test('LaTeX has as many cells in every row as columns', (t) => {
  for (const table of evaluationTables([evaluationResult(), evaluationResult({ ...SHAPES })], PUBLISHED)) {
    const latex = tableLatex(table);
    const [, columns = ''] = latex.match(/begin\{tabular\}\{([lr]+)\}/) ?? [];
    const rows = latex.split('\n').filter((line) => line.endsWith('\\\\') && !line.includes('multicolumn'));
    t.is(rows.length, 1 + rowsOf(table).length);
    for (const row of rows) t.is(row.split(/(?<!\\)&/).length, columns.length, row);
    for (const note of allNotes(table)) t.true(latex.includes(note.slice(-12, -1).replaceAll('%', '\\%')));
  }
});

test('the chart is a PNG that grows with its data sets; nothing to draw is an error', async (t) => {
  const path = join(await temporaryFolder(t), 'chart.png');
  await writeChart(path, [evaluationResult({ ...SHAPES })]);
  const one = await sharp(path).metadata();
  const compute = { deviceHours: 0.5, trainingFlops: 1e14 };
  await writeChart(path, [
    evaluationResult({ ...SHAPES, compute }),
    evaluationResult({ ...SHAPES, network: { weights: 'random' } }),
    evaluationResult(),
  ]);
  const more = await sharp(path).metadata();
  t.is(one.format, 'png');
  t.true((more.height ?? 0) > (one.height ?? 0) + 400);
  await t.throwsAsync(writeChart(path, []), { instanceOf: UserError, message: /no results to draw/ });
});

test.serial(
  'the command finds results, prints every form, and leaves damaged files that it only found out',
  async (t) => {
    const folder = await temporaryFolder(t);
    await writeResults(join(folder, 'results.json'), [evaluationResult({ top1: 61.2 })]);
    const text = await ijepaHere(['tables', '--chart', 'chart.png'], folder);
    t.is(text.code, 0, text.stderr);
    t.regex(text.stdout, /Table 3 of the paper[\s\S]*61\.2/);
    t.is((await sharp(await readFile(join(folder, 'chart.png'))).metadata()).format, 'png');
    const again = await ijepaHere(['tables', '--chart', 'chart.png'], folder);
    t.is(again.code, 2);
    t.regex(again.stderr, /already exists/);

    const json = await ijepaHere(['tables', 'results.json', '--json'], folder);
    const { tables } = JSON.parse(json.stdout) as { tables: ResultTable[] };
    t.is(tables.length, 5);
    t.is(tables.flatMap(measured).length, 2);
    for (const [format, pattern] of [
      ['csv', /^Table,Group,Source/],
      ['markdown', /^### Table 1/],
      ['latex', /^\\begin\{table\}/],
    ] as const) {
      t.regex((await ijepaHere(['tables', '--format', format], folder)).stdout, pattern);
    }

    await writeFile(join(folder, 'results.json'), '{"of": "another program"}');
    const found = await ijepaHere(['tables'], folder);
    t.is(found.code, 0);
    t.regex(found.stderr, /left out: .*holds no list[\s\S]*no results of your own were found/);
    t.is((await ijepaHere(['tables', 'results.json'], folder)).code, 2);
    t.is((await ijepaHere(['tables', '--json', '--format', 'csv'], folder)).code, 2);
  },
);
