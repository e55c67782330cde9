/**
 * What a plugin may bring to the program. A plugin is a module whose default export is a `Plugin`; the built-in ones
 * in `plugins/` use nothing else of the program but this file.
 */
export interface Plugin {
  /** Name of the plugin, in lower case. */
  name: string;
  /** What it brings, in one line for people. */
  summary: string;
  dataSets: readonly DataSet[];
}

/** A named source of images. */
export interface DataSet {
  /** The name by which users ask for it, in lower case. */
  name: string;
  /** What it holds, in one line for people. */
  summary: string;
  /** What may follow the name after a colon, for people: 'number of images'. */
  argument?: string;
  /**
   * Opens the data set.
   * @param argument what followed the name after a colon, or null
   * @throws PluginError if the argument makes no sense or the data is not there
   */
  open(argument: string | null): Promise<ImageCollection>;
}

/** Images in a fixed order, read one by one. */
export interface ImageCollection {
  /** Where they come from, for people. */
  readonly description: string;
  readonly length: number;
  /** Changes when the images or their order change; tells a resumed run that it still has its data. */
  readonly fingerprint: string;
  /** Image number `index`, from 0. Reads nothing yet. */
  item(index: number): ImageItem;
}

/** One image, not yet read. */
export interface ImageItem {
  /** What to call it in messages: its path, or a made-up name. */
  readonly name: string;
  /** The path of an image file, or a function that gives an image file's bytes (any format that sharp reads, or SVG). */
  readonly source: string | (() => Promise<Uint8Array>);
  /** What is known about it, by the name of the question: { class: 3, count: 2 }. */
  readonly labels?: Readonly<Record<string, number>>;
}

/** A problem that the user can mend: what is wrong, what was expected, what to do. */
export class PluginError extends Error {
  override readonly name = 'PluginError';
  constructor(
    problem: string,
    readonly advice: { expected?: string; remedy?: string } = {},
  ) {
    super(problem);
  }
}
