import uPlot from 'uplot';
import { alignLines, type Panel, shown, smoothed, spread, valueAt, withoutPlace, zoomed } from './chart-data.js';
import { chartOptions } from './chart-options.js';
import { details, element, table } from './dom.js';

/** Rows of the table behind a chart. */
const ROWS = 40;
/** How much a key zooms. */
const ZOOM = 0.5;

/** What can be done by keyboard. */
export const KEYS = 'arrow keys move along the steps, plus and minus zoom, 0 shows all steps';

/** One chart: a column of all runs over their steps. */
export class Chart {
  readonly node: HTMLElement;
  readonly #title = element('h3');
  readonly #plot: HTMLElement;
  readonly #reading = element('output', { className: 'reading' });
  readonly #logarithmic = element('input', { type: 'checkbox' });
  readonly #note = element('p', { className: 'hint', hidden: true });
  #panel: Panel;
  #drawn: uPlot | null = null;
  #steps: [number, number] = [1, 2];
  #smoothing = 0;

  constructor(
    readonly name: string,
    private readonly runs: number,
    private readonly limits: () => [number, number],
    private readonly zoom: (range: [number, number] | null) => void,
  ) {
    this.#panel = { name, title: name, lines: [] };
    this.#plot = element('div', { className: 'plot', tabIndex: 0, role: 'application' });
    this.#plot.addEventListener('keydown', (event) => this.#onKey(event));
    this.#logarithmic.addEventListener('change', () => this.#create());
    const numbers = details('Numbers', () => element('div'));
    numbers.addEventListener('toggle', () => numbers.open && numbers.lastElementChild?.replaceWith(this.#table()));
    const choice = element('label', { className: 'choice' }, this.#logarithmic, 'logarithmic');
    const head = element('div', { className: 'chart-head' }, this.#title, choice);
    this.node = element('figure', {}, head, this.#plot, this.#reading, this.#note, numbers);
    this.node.dataset.column = name;
    new ResizeObserver(() => this.#drawn?.setSize(this.#size())).observe(this.#plot);
  }

  /** @param smoothing the weight of the average that is drawn; 0: none */
  update(panel: Panel, smoothing: number): void {
    const drawn = (of: Panel, weight: number) => `${weight > 0} ${of.lines.map(({ run }) => run).join()}`;
    const isSame = drawn(this.#panel, this.#smoothing) === drawn(panel, smoothing);
    this.#panel = panel;
    this.#smoothing = smoothing;
    this.#title.textContent = panel.title;
    this.#plot.setAttribute('aria-label', `Chart of ${panel.title} over steps; ${KEYS}`);
    const hasPlaces = panel.lines.some(({ curve }) => curve.values.some((value) => value > 0));
    this.#logarithmic.disabled = !hasPlaces;
    if (!hasPlaces) this.#logarithmic.checked = false;
    if (this.#drawn && isSame) {
      this.#drawn.setData(this.#data(), false);
      this.#tell(null);
    } else this.#create();
  }

  redraw(): void {
    this.#drawn?.redraw(false, true);
  }

  showSteps(steps: [number, number]): void {
    this.#steps = steps;
    this.#drawn?.setScale('x', { min: steps[0], max: steps[1] });
  }

  #data(): uPlot.AlignedData {
    const logged = this.#smoothing === 0 ? [] : this.#panel.lines;
    const { steps, values } = alignLines([...logged, ...this.#lines()], this.#logarithmic.checked);
    return [steps, ...values];
  }

  /** Lines as they are looked at. */
  #lines(): Panel['lines'] {
    if (this.#smoothing === 0) return this.#panel.lines;
    return this.#panel.lines.map((line) => ({ ...line, curve: smoothed(line.curve, this.#smoothing) }));
  }

  #size() {
    return { width: Math.max(120, this.#plot.clientWidth), height: 220 };
  }

  #create(): void {
    this.#drawn?.destroy();
    const { lines } = this.#panel;
    const looks = { logarithmic: this.#logarithmic.checked, isSmoothed: this.#smoothing > 0 };
    const options = chartOptions(lines, looks, {
      selected: (range) => this.zoom(range),
      pointed: (at) => this.#tell(at),
    });
    this.#drawn = new uPlot({ ...options, ...this.#size() }, this.#data(), this.#plot);
    this.showSteps(this.#steps);
    const left = this.#logarithmic.checked ? withoutPlace(lines) : 0;
    this.#note.hidden = left === 0;
    this.#note.textContent = `${left} values that are not above 0 have no place on this axis`;
    this.#tell(null);
  }

  /** Says the values at a place of the data, or the last ones. */
  #tell(at: number | null): void {
    const step = (at === null ? null : this.#drawn?.data[0][at]) ?? this.#drawn?.data[0].at(-1);
    if (step === undefined || step === null) {
      this.#reading.textContent = '';
      return;
    }
    const values = this.#lines().map(({ name, curve }, at) => {
      const logged = this.#smoothing === 0 ? '' : ` (logged ${shown(valueAt(this.#panel.lines[at].curve, step))})`;
      const value = `${shown(valueAt(curve, step))}${logged}`;
      return this.runs > 1 ? `${name} ${value}` : value;
    });
    this.#reading.textContent = `step ${step}: ${values.join(', ')}`;
  }

  #onKey(event: KeyboardEvent): void {
    const plot = this.#drawn;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = plot.data[0];
    const here = plot.cursor.idx ?? steps.length - 1;
    const [from, to] = this.#steps;
    const act: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => this.#point(here - 1),
      ArrowRight: () => this.#point(here + 1),
      Home: () => this.#point(0),
      End: () => this.#point(steps.length - 1),
      '+': () => this.zoom(zoomed([from, to], steps[here] ?? to, ZOOM, this.limits())),
      '=': () => this.zoom(zoomed([from, to], steps[here] ?? to, ZOOM, this.limits())),
      '-': () => this.zoom(zoomed([from, to], steps[here] ?? to, 1 / ZOOM, this.limits())),
      '0': () => this.zoom(null),
      Escape: () => this.zoom(null),
    };
    const found = act[event.key];
    if (!found) return;
    event.preventDefault();
    found();
  }

  /** Moves the cursor to a place of the data; where it is not shown, the chart follows. */
  #point(at: number): void {
    const plot = this.#drawn;
    const steps = plot?.data[0] ?? [];
    const place = Math.max(0, Math.min(steps.length - 1, at));
    const step = steps[place];
    if (!plot || step === undefined) return;
    const [from, to] = this.#steps;
    const shift = Math.max(0, step - to) + Math.min(0, step - from);
    if (shift !== 0) this.zoom(zoomed([from + shift, to + shift], step, 1, this.limits()));
    plot.setCursor({ left: plot.valToPos(step, 'x'), top: plot.height / 3 });
  }

  #table(): HTMLElement {
    const { steps } = alignLines(this.#panel.lines, false);
    const rows = spread(steps.length, ROWS).map((at) => {
      const step = steps[at] ?? 0;
      return [String(step), ...this.#panel.lines.map(({ curve }) => shown(valueAt(curve, step)))];
    });
    return table(this.#panel.title, ['step', ...this.#panel.lines.map(({ name }) => name)], rows);
  }
}
