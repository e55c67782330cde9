import { runDataDownload, runDataInfo } from '../../commands/data-run.js';
import { UserError } from '../../core/base/errors.js';
import { toyDataSet } from './toy-data.js';

// `node toy-command.js download ORIGIN DIR [MIRROR]`, `... info ORIGIN DIR [SHEET [force]]`: the commands of the program, with a data set of the tests.
const [action, url = '', place = '', extra = '', force = ''] = process.argv.slice(2);
try {
  const dataSets = [toyDataSet([{ url }])];
  process.exitCode =
    action === 'download'
      ? await runDataDownload('toy', place, { ...(extra && { mirror: extra }), json: true }, dataSets)
      : await runDataInfo('toy', place, { json: true, force: force !== '', ...(extra && { sheet: extra }) }, dataSets);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.report}\n`);
  process.exitCode = 2;
}
