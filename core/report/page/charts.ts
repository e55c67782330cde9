import type { RunFacts } from '../facts.js';
import { Chart, KEYS } from './chart.js';
import { type Panel, panelsOf } from './chart-data.js';
import { colourOf } from './chart-options.js';
import { element, section } from './dom.js';

/** The largest weight of smoothing. */
const MOST_SMOOTHING = '0.99';

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
  #smoothing = 0;

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
    for (const [at, chart] of this.#charts.entries()) chart.update(this.#visible(panels[at]), this.#smoothing);
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
    this.#toolbar.append(...(runs.length > 1 ? [chosen] : []), this.#smoothingChoice(), all);
  }

  #smoothingChoice(): HTMLElement {
    const slider = element('input', { type: 'range', min: '0', max: MOST_SMOOTHING, step: '0.01', value: '0' });
    const told = element('output', {}, 'off');
    slider.setAttribute('aria-valuetext', 'off');
    slider.addEventListener('input', () => {
      this.#smoothing = Number(slider.value);
      told.textContent = this.#smoothing === 0 ? 'off' : this.#smoothing.toFixed(2);
      slider.setAttribute('aria-valuetext', told.textContent);
      this.update(this.#runs);
    });
    const what =
      'Exponential moving average with this weight, less its bias at the first steps; what was logged stays behind it';
    return element('label', { title: what }, 'Smoothing', slider, told);
  }
}
