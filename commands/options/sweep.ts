import { flag, grouped, text, type ValuesOf } from '../../core/config/option.js';

export const SWEEP_OPTIONS = grouped('Sweep', {
  file: text({
    required: true,
    what: 'file',
    help: 'what is varied and how it is judged: base, variants, grid, random, seeds, probe; YAML, JSON or a module',
  }),
  out: text({
    what: 'folder',
    required: true,
    help: 'where the runs, sweep.json, table.md and table.csv are kept',
  }),
  budget: text({
    optional: true,
    what: 'time',
    help:
      'training time of each run, in the place of epochs: 90s, 30m, 1h30m; steps of each trial are timed first, and its runs ' +
      'are as many whole epochs as fit',
  }),
  resume: flag('go on with the sweep in the folder; runs that failed are tried again'),
  json: flag('print one JSON document; everything else goes to standard error'),
});

export type SweepOptions = ValuesOf<typeof SWEEP_OPTIONS>;
