import { allowedValues, formatValue, GROUPS, type Option } from '../core/config/option.js';
import { PRESET_NAMES, PRESETS } from '../core/config/presets.js';
import { flagOf, OPTION_NAMES, OPTIONS } from '../core/config/schema.js';
import { broughtBy } from '../core/plugins/brought.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/** All options, presets, and what options name, as Markdown tables: the README's. */
export function optionsTable(): string {
  const rows = GROUPS.flatMap((group) =>
    OPTION_NAMES.filter((name) => OPTIONS[name].group === group).map((name) => {
      const option: Option<unknown> = OPTIONS[name];
      const allowed = allowedValues(option) + (option.unit ? ` ${option.unit}` : '');
      return `| ${group} | \`${flagOf(name)}\` | \`${name}\` | ${option.help} | ${allowed} | ${formatValue(option, option.default)} |`;
    }),
  );
  const presets = PRESET_NAMES.map((name) => `| \`${name}\` | ${PRESETS[name].summary} |`);
  const options = { loss: '`--loss`', regularizer: '`--regularizer`', monitor: '`monitors`' };
  const named = BUILT_IN_PLUGINS.flatMap(broughtBy).flatMap(({ kind, item }) =>
    kind === 'data set' ? [] : [`| ${options[kind]} | \`${item.name}\` | ${item.summary} |`],
  );
  return [
    '| group | flag | in a file | what it is | values | default |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    '| preset | what it is |',
    '| --- | --- |',
    ...presets,
    '',
    '| option | name | what it is |',
    '| --- | --- | --- |',
    ...named,
    '',
  ].join('\n');
}
