import type { PatchFacts, PictureFacts, RunFacts } from '../facts.js';
import { details, element, section, shortName, table } from './dom.js';
import { Tile, type View } from './tile.js';
import { bytesOf, middlePatch, signedBytesOf, similarities } from './tokens.js';

const VIEWS: readonly { view: View; name: string }[] = [
  { view: 'colours', name: 'principal components as colours' },
  { view: 'likeness', name: 'likeness to the chosen patch' },
  { view: 'attention', name: 'attention' },
  { view: 'plain', name: 'picture alone' },
];

/** What encoders make of pictures: one run at a time, where there are several. */
export function pictures(runs: readonly RunFacts[]): HTMLElement {
  const place = element('div');
  const show = (run: RunFacts) => {
    const note = run.picturesNote === null ? null : element('p', { className: 'hint' }, run.picturesNote);
    place.replaceChildren(
      ...[note, run.pictures && new FeatureMaps(run.pictures).node].filter((node) => node !== null),
    );
  };
  const buttons = runs.map((run, at) => {
    const button = element('input', { type: 'radio', name: 'shown-run', checked: at === 0 });
    button.addEventListener('change', () => show(run));
    return element('label', {}, button, run.name);
  });
  if (runs[0]) show(runs[0]);
  const choice = element('fieldset', { className: 'choices' }, element('legend', {}, 'Run'), ...buttons);
  return section('pictures', 'What the encoder sees', runs.length > 1 ? choice : null, place);
}

const WITHOUT_PATCHES =
  'This encoder knows no patches: it makes one row of features of a picture. Choose a picture, by a click or by Tab and Enter, and ' +
  'below stand those whose features are most alike.';

/** What the maps of patches are. */
function aboutPatches({ grid, dimensions, kept, keptByColours, attentionNote }: PatchFacts, pictures: number) {
  const percent = (part: number) => `${(100 * part).toFixed(0)}%`;
  const about =
    `Each of ${pictures} pictures is cut into ${grid} x ${grid} patches. Colours: the first three principal components of all tokens ` +
    `shown, which hold ${percent(keptByColours)} of their variance; likeness: the cosine of tokens less their mean, in ${dimensions} ` +
    `components, which hold ${percent(kept)}. ${attentionNote.charAt(0).toUpperCase()}${attentionNote.slice(1)}.`;
  const how =
    'Click a patch, or move to a picture with Tab and to its patches with the arrow keys: every other patch is then coloured by how like ' +
    'it is to that one, from dark blue (0 or less) to yellow (1), and below stand the pictures whose features are most alike.';
  return [element('p', {}, about), element('p', { className: 'hint' }, how)];
}

/** The maps of one run, its chosen patch, and the pictures that are most like the chosen one. */
class FeatureMaps {
  readonly node: HTMLElement;
  /** Null where there are no patches. */
  readonly #tokens: Int8Array | null;
  readonly #grid: number;
  readonly #tiles: readonly Tile[];
  readonly #said = element('p', { className: 'reading', role: 'status' });
  readonly #nearest = element('div', { className: 'tiles small' });
  readonly #nearestTitle = element('h3');
  #view: View;
  #strength = 0.7;
  #chosen = { picture: 0, patch: 0 };

  constructor(private readonly facts: PictureFacts) {
    const { pictures, patches } = facts;
    this.#view = patches ? 'colours' : 'plain';
    this.#tokens = patches && signedBytesOf(patches.tokens);
    this.#grid = patches?.grid ?? 1;
    const count = this.#grid ** 2;
    const colours = patches && bytesOf(patches.colours);
    const attention = patches?.attention ? bytesOf(patches.attention) : null;
    const partOf = (all: Uint8Array | null, at: number, each: number) =>
      all?.subarray(at * count * each, (at + 1) * count * each) ?? null;
    this.#tiles = pictures.map(({ name, image }, at) => {
      const maps = { colours: partOf(colours, at, 3), attention: partOf(attention, at, 1) };
      return new Tile(name, image, this.#grid, maps, (patch) => this.#choose(at, patch));
    });
    this.#chosen.patch = middlePatch(this.#grid);
    this.node = element(
      'div',
      {},
      ...(patches ? aboutPatches(patches, pictures.length) : [element('p', {}, WITHOUT_PATCHES)]),
      patches && this.#controls(attention !== null),
      this.#said,
      element('div', { className: 'tiles' }, ...this.#tiles.map(({ node }) => node)),
      this.#nearestTitle,
      this.#nearest,
      details('Numbers: the most similar pictures of each', () => this.#table()),
    );
    this.#show();
  }

  #controls(hasAttention: boolean): HTMLElement {
    const choices = VIEWS.filter(({ view }) => view !== 'attention' || hasAttention).map(({ view, name }) => {
      const button = element('input', { type: 'radio', name: 'view', value: view, checked: view === this.#view });
      button.addEventListener('change', () => {
        this.#view = view;
        this.#show();
      });
      return element('label', {}, button, name);
    });
    const range = element('input', {
      type: 'range',
      min: '10',
      max: '100',
      step: '5',
      value: String(100 * this.#strength),
    });
    range.addEventListener('input', () => {
      this.#strength = Number(range.value) / 100;
      this.#show();
    });
    const strength = element('label', {}, 'strength', range);
    return element('fieldset', { className: 'choices' }, element('legend', {}, 'Show'), ...choices, strength);
  }

  #choose(picture: number, patch: number): void {
    this.#chosen = { picture, patch };
    if (this.#tokens && this.#view !== 'likeness') {
      this.#view = 'likeness';
      const button = this.node.querySelector<HTMLInputElement>('input[value=likeness]');
      if (button) button.checked = true;
    }
    this.#show();
  }

  #show(): void {
    const { picture, patch } = this.#chosen;
    const count = this.#grid ** 2;
    const chosen = picture * count + patch;
    const found = this.#tokens && similarities(this.#tokens, this.facts.patches?.dimensions ?? 1, chosen);
    const ofPicture = (at: number) => found?.subarray(at * count, (at + 1) * count) ?? null;
    for (const [at, tile] of this.#tiles.entries()) {
      tile.draw(this.#view, this.#strength, ofPicture(at), at === picture ? patch : null);
    }
    const name = this.#nameOf(picture);
    const others = this.#tiles.map((_, at) => ({ at, best: Math.max(...(ofPicture(at) ?? [])) }));
    const [most] = others.filter(({ at }) => at !== picture).sort((a, b) => b.best - a.best);
    const elsewhere =
      most && `the most similar patch of another picture is in ${this.#nameOf(most.at)} (${most.best.toFixed(2)})`;
    const [row, column] = [Math.floor(patch / this.#grid) + 1, (patch % this.#grid) + 1];
    const where = `row ${row}, column ${column} of ${name}${elsewhere ? `; ${elsewhere}` : ''}`;
    this.#said.textContent = `Chosen: ${found ? where : name}.`;
    this.#showNearest(picture);
  }

  #nameOf(picture: number): string {
    return shortName(this.facts.pictures[picture]?.name ?? '');
  }

  #showNearest(picture: number): void {
    const { pictures } = this.facts;
    const own = pictures[picture];
    this.#nearestTitle.textContent = `Most similar to ${this.#nameOf(picture)}`;
    const cards = (own?.nearest ?? []).map(({ picture: at, similarity }) => {
      const other = pictures[at];
      const name = other?.name ?? '';
      const button = element(
        'button',
        { type: 'button', className: 'card', 'aria-label': `${name}, similarity ${similarity.toFixed(2)}: choose it` },
        element('img', { src: other?.image ?? '', alt: '', loading: 'lazy' }),
        element('span', {}, similarity.toFixed(3)),
        element('small', { title: name }, shortName(name)),
      );
      button.addEventListener('click', () => {
        this.#choose(at, this.#chosen.patch);
        this.#tiles[at]?.focus();
      });
      return button;
    });
    this.#nearest.replaceChildren(
      ...(cards.length > 0 ? cards : [element('p', { className: 'empty' }, 'There is no other picture.')]),
    );
  }

  #table(): HTMLElement {
    const { pictures } = this.facts;
    const rows = pictures.map(({ name, nearest }) => [
      name,
      nearest
        .slice(0, 3)
        .map(({ picture, similarity }) => `${this.#nameOf(picture)} (${similarity.toFixed(2)})`)
        .join(', '),
    ]);
    return table('The most similar pictures, by the cosine of their features', ['picture', 'most similar'], rows, {
      figures: () => false,
    });
  }
}
