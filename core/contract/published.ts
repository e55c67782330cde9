/** Figures that a paper published, for tables in which own results stand beside them. */
export interface PublishedResults {
  /** The paper. */
  readonly source: string;
  readonly tables: readonly PublishedTable[];
}

/** A table of a paper: text first, then percent top-1 on each benchmark. */
export interface PublishedTable {
  /** Its number in the paper. */
  readonly number: number;
  readonly name: string;
  readonly title: string;
  readonly facts: readonly FactName[];
  readonly benchmarks: readonly BenchmarkName[];
  /** Networks of this program stand below the first group. */
  readonly groups: readonly PublishedGroup[];
}

export interface PublishedGroup {
  readonly title: string | null;
  readonly rows: readonly (readonly (string | number)[])[];
}

/** What the figures of a column were measured on. */
export type BenchmarkName =
  | 'imagenet'
  | 'imagenet-1pct'
  | 'cifar100'
  | 'places205'
  | 'inat18'
  | 'clevr-count'
  | 'clevr-dist';

/** What a column of text says of a network. */
export type FactName = 'method' | 'arch' | 'epochs' | 'pretrain';
