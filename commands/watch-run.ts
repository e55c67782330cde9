import { once } from 'node:events';
import { createConsole } from '../core/base/console.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import { livePage } from '../core/run/live-page.js';
import { openRuns } from '../core/run/report-facts.js';
import { startWatchServer } from '../core/run/watch-server.js';
import type { WatchOptions } from './options/report.js';
import { methodsOf, pluginsWith } from './plugins.js';
import { picturesOfRuns } from './run-pictures.js';

/** Serves the page of a run until a signal asks to stop; gives the exit code of that signal. */
export async function runWatch(asked: WatchOptions): Promise<number> {
  const console = createConsole(asked.json);
  const stop = listenForStop(() => {});
  try {
    const runs = await openRuns([asked.run], async (names) => methodsOf(await pluginsWith(names)));
    const [run] = runs;
    const warn = (reason: string) => console.warn(`left out: ${reason}`);
    const [pictures] = await picturesOfRuns(runs, asked);
    const server = await startWatchServer(asked.port, livePage(run, asked.results, pictures, warn), console.warn);
    const url = `http://127.0.0.1:${server.port}/`;
    console.line(`look at  ${url}  ${run.name}, as it goes on; Ctrl-C ends the page, not the run`);
    if (asked.json) process.stdout.write(`${JSON.stringify({ url, run: run.folder.path })}\n`);
    if (stop.received === null) await once(stop.aborted, 'abort');
    await server.close();
  } finally {
    stop.release();
  }
  return stop.received === null ? 0 : signalExitCode(stop.received);
}
