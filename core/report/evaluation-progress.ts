import type { Console, TransferProgress } from '../base/console.js';
import type { EvaluationProgress } from '../eval/evaluate.js';

/** Seconds between two lines about the heads. */
const INTERVAL = 10;

/** Says which part of an evaluation is done and how far it is; `stop` ends what is being shown. */
export function showEvaluation(console: Console): EvaluationProgress & { stop(): void } {
  let what = '';
  let images: TransferProgress | undefined;
  let lastLine = performance.now();
  const stop = () => {
    images?.stop();
    images = undefined;
  };
  return {
    stage(name) {
      stop();
      what = name;
      lastLine = performance.now();
      console.line(`  ${name}`);
    },
    images(done, total) {
      images ??= console.transfer('  computed', 'images');
      images.update(done, total);
    },
    epoch(epoch, epochs, bestTop1) {
      const now = performance.now();
      if (now - lastLine < INTERVAL * 1000 && epoch !== epochs) return;
      lastLine = now;
      console.line(`  ${what}: epoch ${epoch}/${epochs}, best top-1 so far ${bestTop1.toFixed(1)}%`);
    },
    stop,
  };
}
