import { runDataDownload, runDataInfo } from '../../commands/data-run.js';
import { DOWNLOAD_OPTIONS, INFO_OPTIONS } from '../../commands/options/others.js';
import { UserError } from '../../core/base/errors.js';
import { withDefaults } from '../../core/config/resolve.js';
import { toyDataSet } from './toy-data.js';

// `node toy-command.js download ORIGIN DIR [MIRROR]`, `... info ORIGIN DIR [SHEET [force]]`: the commands of the program, with a data set of the tests.
const [action, url = '', place = '', extra = '', force = ''] = process.argv.slice(2);
try {
  const dataSets = [toyDataSet([{ url }])];
  const given = { name: 'toy', dir: place, json: true };
  process.exitCode =
    action === 'download'
      ? await runDataDownload(withDefaults(DOWNLOAD_OPTIONS, { ...given, ...(extra && { mirror: extra }) }), dataSets)
      : await runDataInfo(
          withDefaults(INFO_OPTIONS, { ...given, force: force !== '', ...(extra && { sheet: extra }) }),
          dataSets,
        );
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.report}\n`);
  process.exitCode = 2;
}
