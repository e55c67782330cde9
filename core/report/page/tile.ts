import { element, shortName } from './dom.js';
import { heat, middlePatch, neighbourPatch } from './tokens.js';

/** What is drawn over a picture. */
export type View = 'colours' | 'likeness' | 'attention' | 'plain';

/** Side of the drawing in pixels, whatever the window makes of it. */
const SIDE = 224;
/** Pictures with fewer pixels are enlarged pixel by pixel. */
const FEW_PIXELS = 100;

/** One picture with its patches, of which one can be chosen. */
export class Tile {
  readonly node: HTMLElement;
  readonly #canvas = element('canvas', { width: SIDE, height: SIDE });
  readonly #image = new Image();
  #again: () => void = () => {};
  #patch = 0;

  constructor(
    private readonly name: string,
    address: string,
    private readonly grid: number,
    private readonly maps: { colours: Uint8Array | null; attention: Uint8Array | null },
    private readonly chosen: (patch: number) => void,
  ) {
    this.#patch = middlePatch(grid);
    this.#image.addEventListener('load', () => this.#again());
    this.#image.src = address;
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute('role', 'application');
    this.#canvas.addEventListener('click', (event) => this.#choose(this.#patchAt(event)));
    this.#canvas.addEventListener('keydown', (event) => this.#onKey(event));
    const caption = element('figcaption', { title: name }, shortName(name));
    this.node = element('figure', { className: 'tile' }, this.#canvas, caption);
  }

  focus(): void {
    this.#canvas.focus();
  }

  /**
   * @param likeness of each patch to the chosen one, from -1 to 1; null where there are no patches
   * @param chosen the chosen patch, where it is in this picture
   */
  draw(view: View, strength: number, likeness: Float32Array | null, chosen: number | null): void {
    if (chosen !== null) this.#patch = chosen;
    this.#again = () => {
      const context = this.#canvas.getContext('2d');
      if (!context) return;
      context.clearRect(0, 0, SIDE, SIDE);
      context.globalAlpha = 1;
      context.imageSmoothingEnabled = this.#image.naturalWidth >= FEW_PIXELS;
      if (this.#image.complete) context.drawImage(this.#image, 0, 0, SIDE, SIDE);
      if (view !== 'plain') {
        context.globalAlpha = strength;
        context.imageSmoothingEnabled = false;
        context.drawImage(this.#overlay(view, likeness), 0, 0, SIDE, SIDE);
      }
      if (chosen !== null && view === 'likeness') this.#frame(context, chosen);
    };
    this.#again();
    const where = `row ${Math.floor(this.#patch / this.grid) + 1}, column ${(this.#patch % this.grid) + 1}`;
    this.#canvas.setAttribute(
      'aria-label',
      `${this.name}: ${chosen === null ? 'arrow keys choose a patch' : `chosen patch: ${where}`}`,
    );
    this.node.classList.toggle('chosen', chosen !== null);
  }

  /** A pixel for each patch. */
  #overlay(view: Exclude<View, 'plain'>, likeness: Float32Array | null): HTMLCanvasElement {
    const { grid, maps } = this;
    const small = element('canvas', { width: grid, height: grid });
    const context = small.getContext('2d');
    const pixels = context?.createImageData(grid, grid);
    if (!context || !pixels) return small;
    for (let patch = 0; patch < grid * grid; patch++) {
      const colour =
        view === 'colours'
          ? (maps.colours ?? new Uint8Array()).subarray(3 * patch, 3 * patch + 3)
          : heat(view === 'likeness' ? (likeness?.[patch] ?? 0) : (maps.attention?.[patch] ?? 0) / 255);
      pixels.data.set([...colour, 255], 4 * patch);
    }
    context.putImageData(pixels, 0, 0);
    return small;
  }

  /** A frame that shows on any colour. */
  #frame(context: CanvasRenderingContext2D, patch: number): void {
    const side = SIDE / this.grid;
    const [left, top] = [(patch % this.grid) * side, Math.floor(patch / this.grid) * side];
    context.globalAlpha = 1;
    for (const [width, colour] of [
      [4, '#000000'],
      [2, '#ffffff'],
    ] as const) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(left, top, side, side);
    }
  }

  #patchAt(event: MouseEvent): number {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const place = (at: number, length: number) =>
      Math.max(0, Math.min(this.grid - 1, Math.floor((at / length) * this.grid)));
    return place(event.clientY - top, height) * this.grid + place(event.clientX - left, width);
  }

  #choose(patch: number): void {
    this.#patch = patch;
    this.chosen(patch);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isMove = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End'].includes(event.key);
    if (!isMove && event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    this.#choose(neighbourPatch(this.#patch, this.grid, event.key));
  }
}
