import uPlot from 'uplot';
import type { RunFacts } from '../facts.js';
import { alignLines, type Panel, panelsOf, shown, spread, valueAt, withoutPlace, zoomed } from './chart-data.js';
import { chartOptions, colourOf } from './chart-options.js';
import { details, element, section, table } from './dom.js';

/** Rows of the table behind a chart. */
const ROWS = 40;
/** How much a key zooms. */
const ZOOM = 0.5;

const KEYS = 'arrow keys move along the steps, plus and minus zoom, 0 shows all steps';

/** The curves of all runs, one chart a column. All charts show the same steps. */
export class Charts {
  readonly node: HTMLElement;
  readonly #grid = element('div', { className: 'charts' });
  readonly #empty = element('p', { className: 'empty' }, 'No step is logged yet.');
  readonly #toolbar = element('div', { className: 'toolbar' });
  #charts: Chart[] = [];
  #runs: readonly RunFacts[] = [];
  #hidden = new Set<number>();
  #window: [number, number] | null = null;

  constructor() {
    const hint = `Drag across a chart to zoom, double-click to see all; by keyboard, ${KEYS}.`;
    this.node = section(
      'curves',
      'Curves',
      element('p', { className: 'hint' }, hint),
      this.#toolbar,
      this.#grid,
      this.#empty,
    );
  }

  /** Shows runs as they are now; charts that are there stay. */
  update(runs: readonly RunFacts[]): void {
    if (this.#toolbar.childElementCount === 0) this.#fillToolbar(runs);
    this.#runs = runs;
    const panels = panelsOf(runs);
    this.#empty.hidden = panels.length > 0;
    this.#charts = panels.map((panel) => {
      const found = this.#charts.find(({ name }) => name === panel.name);
      return found ?? new Chart(panel.name, runs.length, this.#limits, (range) => this.#zoom(range));
    });
    this.#place(this.#charts.map(({ node }) => node));
    for (const [at, chart] of this.#charts.entries()) chart.update(this.#visible(panels[at]));
    this.#zoom(this.#window);
  }

  /** Puts charts in their order without moving those that are there, one of which may have the focus. */
  #place(nodes: readonly HTMLElement[]): void {
    for (const older of [...this.#grid.children]) if (!nodes.some((node) => node === older)) older.remove();
    for (const [at, node] of nodes.entries()) {
      if (this.#grid.children[at] !== node) this.#grid.insertBefore(node, this.#grid.children[at] ?? null);
    }
  }

  /** Draws all again, in the colours of the page. */
  redraw(): void {
    for (const chart of this.#charts) chart.redraw();
  }

  #visible(panel: Panel): Panel {
    return { ...panel, lines: panel.lines.filter(({ run }) => !this.#hidden.has(run)) };
  }

  /** The first and the last step of all runs. */
  #limits = (): [number, number] => {
    const steps = this.#runs.flatMap(({ curves }) =>
      curves.flatMap((curve) => [curve.steps[0] ?? 1, curve.steps.at(-1) ?? 1]),
    );
    const [first, last] = [Math.min(...steps, Number.MAX_SAFE_INTEGER), Math.max(...steps, 1)];
    return [Math.min(first, last), Math.max(last, first + 1)];
  };

  #zoom(range: [number, number] | null): void {
    const limits = this.#limits();
    this.#window = range && (range[0] > limits[0] || range[1] < limits[1]) ? range : null;
    for (const chart of this.#charts) chart.showSteps(this.#window ?? limits);
    const reset = this.#toolbar.querySelector<HTMLButtonElement>('#all-steps');
    if (reset) reset.disabled = this.#window === null;
  }

  #fillToolbar(runs: readonly RunFacts[]): void {
    const all = element('button', { type: 'button', id: 'all-steps', disabled: true }, 'Show all steps');
    all.addEventListener('click', () => this.#zoom(null));
    const boxes = runs.map(({ name }, run) => {
      const box = element('input', { type: 'checkbox', checked: true });
      box.addEventListener('change', () => {
        if (box.checked) this.#hidden.delete(run);
        else this.#hidden.add(run);
        this.update(this.#runs);
      });
      const swatch = element('span', { className: 'swatch' });
      swatch.style.background = `var(--run-${colourOf(run)})`;
      return element('label', {}, box, swatch, name);
    });
    const chosen = element('fieldset', {}, element('legend', {}, 'Runs'), ...boxes);
    this.#toolbar.append(...(runs.length > 1 ? [chosen] : []), all);
  }
}

/** One chart. */
class Chart {
  readonly node: HTMLElement;
  readonly #title = element('h3');
  readonly #plot: HTMLElement;
  readonly #reading = element('output', { className: 'reading' });
  readonly #logarithmic = element('input', { type: 'checkbox' });
  readonly #note = element('p', { className: 'hint', hidden: true });
  #panel: Panel;
  #drawn: uPlot | null = null;
  #steps: [number, number] = [1, 2];

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

  update(panel: Panel): void {
    const isSame = this.#panel.lines.map(({ run }) => run).join() === panel.lines.map(({ run }) => run).join();
    this.#panel = panel;
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
    const { steps, values } = alignLines(this.#panel.lines, this.#logarithmic.checked);
    return [steps, ...values];
  }

  #size() {
    return { width: Math.max(120, this.#plot.clientWidth), height: 220 };
  }

  #create(): void {
    this.#drawn?.destroy();
    const { lines } = this.#panel;
    const options = chartOptions(lines, this.#logarithmic.checked, {
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
    const values = this.#panel.lines.map(({ name, curve }) => {
      const value = shown(valueAt(curve, step));
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
