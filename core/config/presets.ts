/** Options under a name. */
export interface Preset {
  /** What it is, in one line for people. */
  summary: string;
  /** Common options, and those of the method that brings the preset. */
  options: Readonly<Record<string, unknown>>;
}
