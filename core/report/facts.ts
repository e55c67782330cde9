/*
 * What a page about runs shows, as one value of JSON: collected where runs are, drawn where a browser is. It names no type of
 * another file, so that the page is checked by itself.
 */

/** Everything on a page. */
export interface ReportFacts {
  /** Name and version of the program that wrote it. */
  writtenBy: string;
  /** ISO 8601. */
  writtenAt: string;
  /** Milliseconds between two looks at the run; null on a page that stays as it is. */
  refreshMs: number | null;
  runs: readonly RunFacts[];
  /** Tables of evaluations that hold a result of one of the runs, published rows beside. */
  tables: readonly TableFacts[];
  evaluations: readonly EvaluationFacts[];
}

/** What is known of a run, or of a network alone. */
export interface RunFacts {
  /** Its folder, in as many words as tell it from the others; of a network what it was called by. */
  name: string;
  /** What it is, in the order in which it is told: method, data, engine, steps ... */
  about: readonly Fact[];
  /** Its options; `isUsual`: the value that is taken where none is given. */
  options: readonly (Fact & { isUsual: boolean })[];
  /** Null for a network, whose run is not there. */
  standing: Standing | null;
  curves: readonly Curve[];
  /** The picture of its masks, as an address; null where there is none. */
  masks: string | null;
  pictures: PictureFacts | null;
  /** Why there are no pictures, or what they lack; null where nothing is missing. */
  picturesNote: string | null;
}

export interface Fact {
  name: string;
  value: string;
}

/** How a run stands. */
export interface Standing {
  state: 'running' | 'done' | 'interrupted' | 'failed' | 'unknown' | 'gone';
  /** Why it stopped, or what is not known. */
  reason: string | null;
  step: number;
  totalSteps: number;
  epoch: number;
  epochs: number;
  /** Of the last steps; null before the first one. */
  imagesPerSecond: number | null;
  /** At that speed. */
  secondsLeft: number | null;
  /** The best step by the online probe, top-1 in percent; null where it told nothing. */
  probe: { step: number; logistic: number; neighbours: number | null } | null;
  /** What monitors make of it. */
  verdicts: readonly { monitor: string; isWell: boolean; text: string }[];
}

/** A column of the log over steps; of long runs the lowest and highest values of parts of equal length. */
export interface Curve {
  /** As viewers of logs name it: 'terms/prediction'. */
  name: string;
  steps: readonly number[];
  values: readonly number[];
}

/** A table, ready to be shown: cells are text or percent. */
export interface TableFacts {
  title: string;
  columns: readonly { name: string; isFigure: boolean }[];
  groups: readonly { title: string | null; rows: readonly TableRow[] }[];
  notes: readonly string[];
}

export interface TableRow {
  isPublished: boolean;
  cells: readonly { text: string; interval: string | null; isBest: boolean }[];
}

/** One result of a run. */
export interface EvaluationFacts {
  run: string;
  /** Data set, kind and protocol. */
  title: string;
  /** Percent, with a 95% interval. */
  top1: { value: number; low: number; high: number };
  /** What pretraining took; null where its log does not tell. */
  compute: { deviceHours: number; trainingFlops: number } | null;
  /** Test images by their class, row, and by the class that the linear head names, column; null where it was not kept. */
  confusion: Confusion | null;
}

export interface Confusion {
  classes: readonly string[];
  counts: readonly (readonly number[])[];
  /** Of each class, percent, with a 95% interval; null where it has no images. */
  accuracies: readonly ({ value: number; low: number; high: number } | null)[];
}

/** What an encoder makes of some pictures. */
export interface PictureFacts {
  pictures: readonly {
    name: string;
    /** An address. */
    image: string;
    /** Those whose features are most like its own, by place in this list. */
    nearest: readonly { picture: number; similarity: number }[];
  }[];
  /** Null for encoders that know no patches. */
  patches: PatchFacts | null;
}

/**
 * What an encoder makes of the patches of pictures.
 *
 * Letters: n pictures, N patches of each, row by row over the grid, K kept dimensions.
 */
export interface PatchFacts {
  /** Patches along a side. */
  grid: number;
  /** K, and the part of the variance of tokens that they keep. */
  dimensions: number;
  kept: number;
  /** Part of the variance in the three components that are shown as red, green and blue. */
  keptByColours: number;
  /** Tokens less their mean, as principal components, each scaled to -127..127; signed bytes [n, N, K], base64. */
  tokens: string;
  /** The first three principal components, bytes [n, N, 3], base64. */
  colours: string;
  /** How much attention each patch gets in the last block, scaled by picture to 0..255, bytes [n, N], base64; or null. */
  attention: string | null;
  /** Whose attention it is, or why there is none. */
  attentionNote: string;
}
