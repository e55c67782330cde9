/** A named source of images, with or without labels. */
export interface DataSet {
  /** The name by which users ask for it, in lower case. */
  name: string;
  /** What it holds, in one line for people. */
  summary: string;
  /** What may follow the name after a colon, for people: 'number of images', 'folder'. */
  argument?: string;
  /**
   * Opens the images for training without labels.
   * @param argument what followed the name after a colon, or null
   * @throws PluginError if the argument makes no sense or the data is not there
   */
  open(argument: string | null): Promise<ImageCollection>;
  /**
   * Opens training and test images with their classes; missing where there are no labels, and null where what the argument
   * names has none.
   * @throws PluginError if the argument makes no sense, or the data is not there or damaged
   */
  openLabelled?(argument: string | null): Promise<LabelledData | null>;
  /**
   * Holds the files of the data set against the checksums that lie beside them.
   * @param tell is told how many bytes are read, and how many there are
   * @returns what is wrong, one line for each file; null where there are no checksums
   */
  check?(
    argument: string | null,
    tell: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<readonly string[] | null>;
  /**
   * Where in a folder the data set lies (the folder itself or one below it), as the argument for `open`; null where it is
   * not there. Looks at names only.
   */
  locate?(folder: string): Promise<string | null>;
  /** Where it is to be had. */
  origin?: Origin;
  /** How the paper's linear evaluation treats it; missing where the paper does not use it. */
  protocol?: ProbeProtocol;
}

/** Images in a fixed order, read one by one. */
export interface ImageCollection {
  /** Where they come from, for people. */
  readonly description: string;
  readonly length: number;
  /** Changes when the images or their order change; tells a resumed run that it still has its data. */
  readonly fingerprint: string;
  /** What was left out and why, for people, a line each. */
  readonly notes?: readonly string[];
  /** Image number `index`, from 0. Reads nothing yet. */
  item(index: number): ImageItem;
  /** The same images, fetched as suits a reader who tells how it will go through them; of those that have to be fetched. */
  forReading?(plan: ReadingPlan): ImageCollection;
}

/** How a reader goes through images. */
export interface ReadingPlan {
  /** Images that follow one another, the first a multiple of this number, and are wanted at about the same time. */
  neighbours: number;
  /** Images that are wanted before the next ones are; as many as there are where they come in any order. */
  together: number;
  /** Memory for what is fetched before it is wanted. */
  bytes: number;
  /** Aborts when nothing more will be wanted. */
  signal: AbortSignal;
}

/** One image, not yet read. */
export interface ImageItem {
  /** What to call it in messages and lists: its path as `shownName` gives it, or a made-up name; in one line. */
  readonly name: string;
  /** The path of an image file (of bytes that are not UTF-8 as `nameFromBytes` gives it), or a function that gives an image file's bytes (any format that sharp reads, or SVG). */
  readonly source: string | (() => Promise<Uint8Array>);
  /** Its path from the root of its data set, with '/': the same on every machine. */
  readonly place?: string;
  /** What is known about it, by the name of the question: { class: 3, count: 2 }. */
  readonly labels?: Readonly<Record<string, number>>;
}

/** A classification task. */
export interface LabelledData {
  /** The names of the classes; a class is its place in this list. */
  readonly classes: readonly string[];
  readonly train: LabelledImages;
  /** May have no image, where those for training can be counted and packed alone; evaluation then refuses the data. */
  readonly test: LabelledImages;
  /** What was left out and why, for people: 'test images with 9 objects (12), a number that training lacks'. */
  readonly notes?: readonly string[];
}

export interface LabelledImages extends ImageCollection {
  /** The class of image number `index`. */
  classOf(index: number): number;
}

/** Where a data set comes from. */
export interface Origin {
  /** A page for people. */
  page: string;
  /** What has to be agreed to or known before, for people. */
  terms?: string;
  /** Files that can be fetched without an account; none where there is no such address. */
  files: readonly OriginFile[];
}

export interface OriginFile {
  url: string;
  /** Size, where it is known. */
  bytes?: number;
  checksum?: { algorithm: 'md5' | 'sha256'; hex: string };
}

/** A linear evaluation with a frozen encoder (paper, appendix A.2 and A.3). */
export interface ProbeProtocol {
  optimiser: 'lars' | 'sgd';
  epochs: number;
  batchSize: number;
  /** For a batch of 256 images; scaled in proportion to the batch. */
  baseLearningRate: number;
  /** Divided by 10 at these epochs, or along a cosine down to this part of it: by epochs, where it is left out. */
  schedule:
    | { kind: 'steps'; atEpochs: readonly number[] }
    | { kind: 'cosine'; finalPart: number; by?: 'epochs' | 'steps' };
  momentum: number;
  nesterov: boolean;
  /** The grid of heads: all combinations of these. */
  weightDecays: readonly number[];
  learningRateFactors: readonly number[];
  features: readonly FeatureKind[];
  norms: readonly HeadNorm[];
  /**
   * Whether features are standardised and decorrelated before the linear layer, by a fixed matrix that the training images
   * decide. What a head can express stays the same, but few steps suffice.
   */
  decorrelated?: boolean;
  /** `crop`: random resized crop and flip / resize and centre crop; `squash`: whole image to a square, and flip. */
  transform: 'crop' | 'squash';
  /** How pictures are resized, with antialiasing; default: bicubic. */
  interpolation?: Interpolation;
}

export type Interpolation = 'bilinear' | 'bicubic';

/** Features of the last layer, or of the last four side by side: average-pooled patch tokens, or class tokens. */
export type FeatureKind = 'last' | 'last-4';
/** Whether a head normalises its features over the batch first. */
export type HeadNorm = 'none' | 'batch';
