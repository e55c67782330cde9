/** Hears how far an evaluation is. */
export interface EvaluationProgress {
  /** A part begins. */
  stage(what: string): void;
  /** Images that are computed, of all of this part. */
  images(done: number, total: number): void;
  /** The heads have seen all images again; the best is that of the images on which one is chosen. */
  epoch(epoch: number, epochs: number, bestTop1: number): void;
}
