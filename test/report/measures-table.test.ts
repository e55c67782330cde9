import test from 'ava';
import { attentiveProtocol } from '../../core/eval/attentive-settings.js';
import { measuresTables } from '../../core/report/measures-table.js';
import { tableFacts } from '../../core/report/result-facts.js';
import { isFigure, type ResultTable } from '../../core/report/result-table.js';
import { tableCsv, tableText } from '../../core/report/table-formats.js';
import { accuracies, evaluationResult } from '../helpers/evaluation.js';

const LIDAR = { images: 9, views: 2, value: 3.04 };
const GEOMETRY = { images: 512, rankMe: 6.84, rankMeCentred: 40, alphaReq: 1.957, lidar: null };
const random = { weights: 'random' } as const;
const few = (value: number, deviation: number) => [
  { count: { fraction: 0.1 }, images: 30, top1: { ...accuracies(value).top1, deviation, values: [value, value] } },
];
const attentive = (top1: number) => ({
  ...accuracies(top1),
  curve: [top1],
  settings: attentiveProtocol('paper', 9000),
});
const SEGMENTATION = {
  ...{ data: 'street', classes: [0, 1], trainImages: 8, testImages: 2, patches: 128, pixels: 900 },
  ...{ meanIou: 51.25, pixelAccuracy: 80.5, iou: [60, 42.5] },
};

const cellsOf = ({ groups }: ResultTable) =>
  groups[0]?.rows.map(({ cells }) =>
    cells.slice(3).map((cell) => (isFigure(cell) ? `${cell.value}${cell.best ? '*' : ''}` : (cell?.text ?? '–'))),
  );

test('what was measured beside heads has a table for each task, with the columns that are there', (t) => {
  t.deepEqual(measuresTables([evaluationResult(), evaluationResult({ network: random })]), []);
  const [table, other, ...more] = measuresTables([
    evaluationResult({
      geometry: GEOMETRY,
      fewLabels: few(40, 1),
      attentive: attentive(50),
      segmentation: SEGMENTATION,
    }),
    evaluationResult({
      geometry: { ...GEOMETRY, alphaReq: null, lidar: LIDAR },
      fewLabels: few(30, 2),
      network: random,
    }),
    evaluationResult({ dataSet: 'others', overSeeds: { ...accuracies(9).top1, deviation: 1, values: [8, 10] } }),
  ]) as [ResultTable, ResultTable];
  t.is(more.length, 0);
  t.is(table.name, 'cifar100-transfer-50000-measures');
  t.deepEqual(
    table.columns.map(({ name }) => name),
    [
      ...['Method', 'Arch.', 'Epochs', 'Attentive', 'Mean IoU', 'Pixels', '10% of the labels'],
      ...['RankMe', 'centred', 'alpha-ReQ', 'LiDAR'],
    ],
  );
  t.deepEqual(cellsOf(table), [
    ['50', '51.25', '80.5', '40*', '6.8', '40.0', '1.96', '–'],
    ['–', '–', '–', '30', '6.8', '40.0', '–', '3.0'],
  ]);
  t.deepEqual(cellsOf(other), [['9']]);
  t.regex(
    table.notes.join('\n'),
    /after 20 epochs\.[\s\S]*2 images of street[\s\S]*30 images, mean[\s\S]*2 crops of 9 images/,
  );
});

test('values of other protocols, and of pixels of other folders, are shown and not compared', (t) => {
  const shown = (changes: Parameters<typeof evaluationResult>[0], network = {}) =>
    evaluationResult({ segmentation: SEGMENTATION, network, ...changes });
  const best = (...results: ReturnType<typeof shown>[]) => cellsOf(measuresTables(results)[0] as ResultTable)?.flat();
  const other = { ...SEGMENTATION, meanIou: 9, data: 'others' };
  t.deepEqual(best(shown({}), shown({ segmentation: { ...other, data: 'street' } }, random))?.[0], '51.25*');
  t.deepEqual(best(shown({}), shown({ segmentation: other }, random)), ['51.25', '80.5', '9', '80.5']);
  t.deepEqual(best(shown({}), shown({ protocolName: 'quick' }, random)), ['51.25', '80.5', '51.25', '80.5']);
});

test('numbers that are no percent stand as they are in every form, and means with their deviation', (t) => {
  const [table] = measuresTables([evaluationResult({ geometry: GEOMETRY, fewLabels: few(40, 1.25) })]) as [ResultTable];
  const [, line] = tableCsv(table).split('\r\n');
  t.regex(line ?? '', /,40,38\.5,41\.25,,6\.8,40\.0,1\.96,/);
  t.regex(tableText(table, false, 40), /\n {2}10% of the labels: 40\.0 ± 1\.3 \[38\.5, 41\.3\]\n {2}RankMe: 6\.8\n/);
  const facts = tableFacts(table);
  t.deepEqual(facts.columns.at(-1), { name: 'alpha-ReQ', isFigure: true });
  t.is(facts.groups[0]?.rows[0]?.cells[3]?.text, '40.0 ± 1.3');
});
