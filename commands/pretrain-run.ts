import { join } from 'node:path';
import { type Console, count, createConsole, formatDuration, quote, SILENT } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { bestCheckpoint, checkpointsFolder } from '../core/checkpoint/folder.js';
import { followRun } from '../core/run/follow.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import { type PretrainSummary, pretrain } from '../core/run/pretrain.js';
import { probeText } from '../core/run/probing.js';
import type { PretrainOptions } from './options/others.js';
import { methodsOf, pluginsWith } from './plugins.js';
import { inRanks } from './ranks.js';
import type { ResolvedRun } from './run-sources.js';

/** Trains, tells what was done, and gives the exit code. */
export async function runPretrain(resolved: ResolvedRun, { resume, force, json }: PretrainOptions): Promise<number> {
  if (resume && force) {
    throw new UserError('--resume and --force contradict one another', {
      expected: 'one of them',
      remedy: '--resume goes on with the run, --force deletes it',
    });
  }
  const { mpi, rankTimeout } = resolved.options;
  return inRanks({ mpi, rankTimeout }, async (ranks) => {
    const console = ranks.rank === 0 ? createConsole(json) : SILENT;
    const stop = listenForStop((signal) => {
      console.line(`${signal}: finishing the step and saving; a second signal stops at once`);
    });
    try {
      const known = { plugins: pluginsWith, methods: methodsOf };
      const request = { resolved, resume, force, ...known, console, stop, ranks };
      if (ranks.rank > 0) return exitCodeOf(await followRun(request));
      const summary = await pretrain(request);
      tell(console, summary);
      if (json) process.stdout.write(`${JSON.stringify(summary)}\n`);
      return exitCodeOf(summary.interrupted);
    } finally {
      stop.release();
    }
  });
}

function exitCodeOf(interrupted: PretrainSummary['interrupted']): number {
  return interrupted ? signalExitCode(interrupted) : 0;
}

function tell(console: Console, summary: PretrainSummary): void {
  const { out, steps, totalSteps, interrupted, seconds, imagesPerSecond, skippedImages, checkpoint } = summary;
  const { firstLoss, lastLoss, firstSpread, lastSpread } = summary;
  console.line();
  if (interrupted) {
    console.line(
      steps === 0
        ? 'stopped before the first step'
        : `stopped after step ${steps} of ${totalSteps}; everything up to there is saved`,
    );
    console.line(`go on with: npx ijepa pretrain --out ${quote(out)} --resume`);
  } else if (firstLoss === null) {
    console.line(`the run is complete: all ${steps} steps were done before`);
  } else {
    console.line(`done: ${steps} steps, ${formatDuration(seconds)}, ${imagesPerSecond} images/s`);
  }
  console.line(`method     ${summary.method}: ${summary.objective}`);
  if (firstLoss !== null && lastLoss !== null)
    console.line(`loss       ${firstLoss.toFixed(4)} -> ${lastLoss.toFixed(4)}`);
  if (firstSpread && lastSpread) {
    console.line(
      `collapse   effective rank of the features ${firstSpread.rank.toFixed(1)} -> ${lastSpread.rank.toFixed(1)}, ` +
        `standard deviation ${firstSpread.std.toFixed(3)} -> ${lastSpread.std.toFixed(3)} (the loss alone does not tell)`,
    );
  }
  if (summary.probe) tellProbe(console, summary.probe, out);
  for (const { text } of Object.values(summary.verdicts)) console.line(`verdict    ${text}`);
  if (skippedImages > 0)
    console.line(`skipped    ${count(skippedImages, 'unreadable image')}, listed in ${join(out, 'skipped.txt')}`);
  const shown = summary.drawsMasks ? 'what the model saw and what it had to predict' : 'crops that it learned from';
  console.line(`look at    ${join(out, 'masks.png')}   ${shown}`);
  if (steps > 0) {
    console.line(`           ${join(out, 'curves.png')}  loss, collapse watch, schedules`);
    console.line(`           ${join(out, 'log.jsonl')}   every step (log.csv: the same as a table)`);
  }
  if (checkpoint) console.line(`model      ${checkpoint}`);
}

/** What the online probe told: before the first step and last, and of the best step. */
function tellProbe(console: Console, { first, last, best }: NonNullable<PretrainSummary['probe']>, out: string): void {
  if (last) console.line(`probe      ${first ? `${probeText(first)} -> ` : ''}${probeText(last)}`);
  if (best) console.line(`best       step ${best.step}: ${probeText(best)}, ${bestCheckpoint(checkpointsFolder(out))}`);
}
