import { allowedValues, formatValue, GROUPS } from '../core/config/option.js';
import { flagOf, OPTIONS, type Schema } from '../core/config/schema.js';
import { METHODS } from '../core/methods/registry.js';
import { extensionsOf } from '../core/plugins/plugin.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/** All options, presets, and what options name, as Markdown tables: the README's. */
export function optionsTable(): string {
  const table = (schema: Schema) => [
    '| group | flag | in a file | what it is | values | default |',
    '| --- | --- | --- | --- | --- | --- |',
    ...GROUPS.flatMap((group) =>
      Object.entries(schema)
        .filter(([, option]) => option.group === group)
        .map(([name, option]) => {
          const allowed = allowedValues(option) + (option.unit ? ` ${option.unit}` : '');
          const usual = formatValue(option, option.default);
          return `| ${group} | \`${flagOf(name)}\` | \`${name}\` | ${option.help} | ${allowed} | ${usual} |`;
        }),
    ),
    '',
  ];
  const ofMethods = METHODS.flatMap(({ name, title, summary, options }) => [
    `**${title}** (\`--method ${name}\`) ${summary}`,
    '',
    ...table(options),
  ]);
  const presets = METHODS.flatMap((method) =>
    Object.entries(method.presets).map(([name, { summary }]) => `| \`${name}\` | ${method.title} | ${summary} |`),
  );
  const options = { loss: '`--loss`', regularizer: '`--regularizer`', monitor: '`monitors`', method: '`--method`' };
  const named = BUILT_IN_PLUGINS.flatMap(extensionsOf).flatMap(({ kind, item }) =>
    kind === 'data set' ? [] : [`| ${options[kind]} | \`${item.name}\` | ${item.summary} |`],
  );
  return [
    ...ofMethods,
    '**All methods**',
    '',
    ...table({ ...OPTIONS, method: { ...OPTIONS.method, default: METHODS[0]?.name } }),
    '| preset | method | what it is |',
    '| --- | --- | --- |',
    ...presets,
    '',
    '| option | name | what it is |',
    '| --- | --- | --- |',
    ...named,
    '',
  ].join('\n');
}
