import { type CommandDefinition, defineCommand } from './command.js';
import { RUNS_OPTIONS } from './options/others.js';
import { REPORT_OPTIONS, WATCH_OPTIONS } from './options/report.js';

/** The commands that show runs. */
export const RUN_COMMANDS: readonly CommandDefinition[] = [
  defineCommand({
    name: 'runs',
    summary: 'list runs, with how far they are',
    description:
      'List the runs in a folder and three levels below it: whether they are running, done, interrupted or failed, how ' +
      'far they are, whether they have collapsed, and the best accuracy that was measured of them. Only reads; runs may be ' +
      'going on.',
    options: RUNS_OPTIONS,
    run: async ({ folder, json }) => (await import('./runs-run.js')).listRuns(folder, json),
  }),
  defineCommand({
    name: 'report',
    summary: 'write a page with curves, evaluations and feature maps of runs',
    description:
      'Write one HTML file that opens in any browser without a network: what the runs are, curves of everything that they ' +
      'logged, masks, the verdict on collapse, evaluations, and what the encoder makes of some of its images.',
    options: REPORT_OPTIONS,
    run: async (options) => (await import('./report-run.js')).runReport(options),
  }),
  defineCommand({
    name: 'watch',
    summary: 'serve that page while a run goes on',
    description:
      'Serve the page of a run to browsers of this machine, and keep it up to date while training goes on. Only reads; ends ' +
      'at Ctrl-C.',
    options: WATCH_OPTIONS,
    run: async (options) => (await import('./watch-run.js')).runWatch(options),
  }),
];
