import type { EvaluationFacts } from '../facts.js';
import { shown } from './chart-data.js';
import { colourOf } from './chart-options.js';
import { details, element, shape, table } from './dom.js';

const SIZE = { width: 640, height: 300 };
const MARGIN = { left: 52, top: 14, right: 18, bottom: 46 };

const QUANTITIES = [
  { of: 'deviceHours', name: 'device hours of pretraining' },
  { of: 'trainingFlops', name: 'floating-point operations of pretraining (matrix products)' },
] as const;
type Quantity = (typeof QUANTITIES)[number];

type Measured = EvaluationFacts & { compute: NonNullable<EvaluationFacts['compute']> };

/** Top-1 against what pretraining took, on a logarithmic axis; nothing where no result tells that. */
export function computeChart(evaluations: readonly EvaluationFacts[], runs: readonly string[]): HTMLElement[] {
  const isMeasured = (one: EvaluationFacts): one is Measured =>
    QUANTITIES.every(({ of }) => (one.compute?.[of] ?? 0) > 0);
  const measured = evaluations.filter(isMeasured);
  if (measured.length === 0) return [];
  const place = element('div', {
    className: 'drawing scrolling',
    tabIndex: 0,
    role: 'region',
    'aria-label': 'Accuracy against compute',
  });
  const show = (quantity: Quantity) => place.replaceChildren(draw(measured, runs, quantity));
  const choices = QUANTITIES.map((quantity, at) => {
    const button = element('input', { type: 'radio', name: 'quantity', checked: at === 0 });
    button.addEventListener('change', () => show(quantity));
    return element('label', {}, button, quantity.name);
  });
  show(QUANTITIES[0]);
  const numbers = () =>
    table(
      'Accuracy against compute',
      ['run', 'evaluation', 'top-1', '95% interval', 'device hours', 'operations'],
      measured.map(({ run, title, top1, compute }) => [
        run,
        title,
        top1.value.toFixed(1),
        `${top1.low.toFixed(1)}–${top1.high.toFixed(1)}`,
        shown(compute.deviceHours),
        shown(compute.trainingFlops),
      ]),
      { figures: (column) => column > 1 },
    );
  return [
    element('h3', {}, 'Accuracy against compute'),
    element('fieldset', { className: 'choices' }, element('legend', {}, 'Across'), ...choices),
    place,
    details('Numbers', numbers),
  ];
}

function draw(measured: readonly Measured[], runs: readonly string[], { of, name }: Quantity): SVGElement {
  const amounts = measured.map(({ compute }) => Math.log10(compute[of]));
  const [from, to] = [Math.floor(Math.min(...amounts)), Math.ceil(Math.max(...amounts) + 1e-9)];
  const decades = Array.from({ length: Math.max(2, to - from + 1) }, (_, at) => from + at);
  const low = Math.max(0, 10 * Math.floor(Math.min(...measured.map(({ top1 }) => top1.low)) / 10));
  const high = Math.min(100, 10 * Math.ceil(Math.max(...measured.map(({ top1 }) => top1.high)) / 10));
  const tens = Array.from({ length: (high - low) / 10 + 1 }, (_, at) => low + 10 * at);
  const [right, bottom] = [SIZE.width - MARGIN.right, SIZE.height - MARGIN.bottom];
  const last = decades.at(-1) ?? from + 1;
  const across = (power: number) => MARGIN.left + ((power - from) / (last - from)) * (right - MARGIN.left);
  const up = (percent: number) => bottom - ((percent - low) / Math.max(1, high - low)) * (bottom - MARGIN.top);
  const text = (x: number, y: number, words: string, anchor = 'middle') =>
    shape('text', { x, y, 'text-anchor': anchor }, words);
  const line = (x1: number, y1: number, x2: number, y2: number, kind: string) =>
    shape('line', { x1, y1, x2, y2, class: kind });
  const points = measured.map(({ run, title, top1, compute }) => {
    const [x, y] = [across(Math.log10(compute[of])), up(top1.value)];
    const words = `${run}: ${top1.value.toFixed(1)}% [${top1.low.toFixed(1)}, ${top1.high.toFixed(1)}], ${title}`;
    const mark = shape(
      'g',
      { class: 'point' },
      shape('title', {}, words),
      line(x, up(top1.low), x, up(top1.high), 'whisker'),
      shape('circle', { cx: x, cy: y, r: 5 }),
    );
    mark.style.setProperty('--own', `var(--run-${colourOf(Math.max(0, runs.indexOf(run)))})`);
    const isRight = x > (MARGIN.left + right) / 2;
    return [mark, text(x + (isRight ? -10 : 10), y + 4, run, isRight ? 'end' : 'start')];
  });
  const label = `Top-1 accuracy in percent against ${name}; ${measured.length} results, the numbers are below`;
  return shape(
    'svg',
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: 'img', 'aria-label': label },
    ...tens.flatMap((percent) => [
      line(MARGIN.left, up(percent), right, up(percent), 'grid'),
      text(MARGIN.left - 8, up(percent) + 4, `${percent}%`, 'end'),
    ]),
    ...decades.flatMap((power) => [
      line(across(power), MARGIN.top, across(power), bottom, 'grid'),
      text(across(power), bottom + 18, powerOfTen(power)),
    ]),
    text((MARGIN.left + right) / 2, SIZE.height - 8, name),
    ...points.flat(),
  );
}

/** '0.01', '1', '1000', '1e15' */
function powerOfTen(power: number): string {
  return Math.abs(power) <= 3 ? String(Number((10 ** power).toPrecision(3))) : `1e${power}`;
}
