type Child = Node | string | null | undefined;

/** Properties of an element; names with a hyphen, and `role`, are attributes. */
type Properties = Readonly<Record<string, string | number | boolean | ((event: never) => void)>>;

/** An element with its children. Text stays text, whatever it holds. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes('-') || key === 'role' || key === 'scope') made.setAttribute(key, String(value));
    else Object.assign(made, { [key]: value });
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = 'http://www.w3.org/2000/svg';

/** The same in a drawing; all properties are attributes. */
export function shape(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: readonly Child[]
) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A section of the page under a heading. */
export function section(id: string, title: string, ...children: readonly Child[]): HTMLElement {
  const heading = element('h2', { id: `${id}-title` }, title);
  return element('section', { id, 'aria-labelledby': `${id}-title` }, heading, ...children);
}

/** A table that scrolls by itself where the window is narrow. Cells that begin a row are its heading. */
export function table(
  caption: string,
  headings: readonly string[],
  rows: readonly (readonly Child[])[],
  { figures = () => true }: { figures?: (column: number) => boolean } = {},
): HTMLElement {
  const classOf = (column: number) => (column > 0 && figures(column) ? 'figure' : '');
  const head = headings.map((heading, at) => element('th', { scope: 'col', className: classOf(at) }, heading));
  const body = rows.map((cells) =>
    element(
      'tr',
      {},
      ...cells.map((cell, at) =>
        at === 0 ? element('th', { scope: 'row' }, cell) : element('td', { className: classOf(at) }, cell),
      ),
    ),
  );
  return scrolling(
    caption,
    element(
      'table',
      {},
      element('caption', {}, caption),
      element('thead', {}, element('tr', {}, ...head)),
      element('tbody', {}, ...body),
    ),
  );
}

/** A wide thing in a box that scrolls, by keyboard too. */
export function scrolling(name: string, content: Node): HTMLElement {
  return element('div', { className: 'scrolling', tabIndex: 0, role: 'region', 'aria-label': name }, content);
}

/** What is opened on demand. */
export function details(summary: string, make: () => Node): HTMLDetailsElement {
  const made = element('details', {}, element('summary', {}, summary));
  made.addEventListener('toggle', () => made.open && made.childElementCount === 1 && made.append(make()));
  return made;
}

/** The end of the name of a picture, for use below it. */
export function shortName(name: string): string {
  return name.split('/').slice(-2).join('/');
}
