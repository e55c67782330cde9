import { allowedValues, flagOf, formatValue, type OptionTable } from '../core/config/option.js';
import { describeOptions } from '../core/config/record.js';
import { placeOf } from '../core/config/resolve.js';
import { OPTIONS } from '../core/config/schema.js';
import { automaticValues } from '../core/config/settings.js';
import type { MethodDefinition } from '../core/methods/method.js';
import { METHODS } from '../core/methods/registry.js';
import { extensionsOf, selectPlugins } from '../core/plugins/plugin.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';
import type { ConfigOptions } from './options/others.js';
import { configuredPlugins, methodsOf, pluginsWith } from './plugins.js';
import type { ResolvedRun } from './run-sources.js';

/** Prints the options of a run with their origins, or the tables of all options. */
export async function showConfig(resolved: ResolvedRun, { json, table }: ConfigOptions): Promise<void> {
  if (table) {
    process.stdout.write(`${methodsTable()}\n${commonTable()}`);
    return;
  }
  const { method, options, origins } = resolved;
  const plugins = await pluginsWith(options.plugins);
  selectPlugins(method, options, plugins, (name) => placeOf(resolved, name)); // refuses names that nothing has
  const automatic = { ...automaticValues(options), ...method.automatic?.(options) };
  process.stdout.write(`${json ? JSON.stringify({ options, origins }) : describeOptions(resolved, automatic)}\n`);
}

/** Prints the methods that there are, the usual one first. */
export async function listMethods(json: boolean): Promise<void> {
  const rows = methodsOf(await configuredPlugins()).map(({ name, title, summary, options, presets }) => ({
    name,
    title,
    summary,
    options: Object.keys(options),
    presets: Object.entries(presets).map(([preset, { summary }]) => ({ name: preset, summary })),
  }));
  const lines = rows.flatMap(({ name, title, summary, presets }) => {
    const width = Math.max(0, ...presets.map((preset) => preset.name.length)) + 2;
    const ofPresets = presets.map((preset) => `  --preset ${preset.name.padEnd(width)}${preset.summary}`);
    return [`${name}: ${title} ${summary}`, ...ofPresets];
  });
  process.stdout.write(`${json ? JSON.stringify(rows) : lines.join('\n')}\n`);
}

/** The options that runs of every method have. */
export function commonTable(): string {
  const { method: _, ...common } = OPTIONS;
  return `**All methods**\n\n${rowsOf(common)}`;
}

/** The methods with their options and presets, and what else options name. */
export function methodsTable(): string {
  const method = { ...OPTIONS.method, default: METHODS[0]?.name, choices: METHODS.map(({ name }) => name) };
  const presets = METHODS.flatMap(({ title, presets }) =>
    Object.entries(presets).map(([name, { summary }]) => [`\`${name}\``, title, summary]),
  );
  const presetsTable = markdownTable(['preset', 'method', 'what it is'], presets);
  return [rowsOf({ method }), ...METHODS.map(methodTable), presetsTable, namesTable()].join('\n');
}

function methodTable({ name, title, summary, options, defaults }: MethodDefinition): string {
  const changed = Object.entries<unknown>(defaults).map(([option, value]) => {
    const about = OPTIONS[option as keyof typeof OPTIONS];
    return `\`${flagOf(option, about)} ${formatValue(about, value)}\``;
  });
  const more = changed.length > 0 ? `\nOther defaults of common options: ${changed.join(', ')}.\n` : '';
  return `**${title}** (\`--method ${name}\`) ${summary}\n\n${rowsOf(options)}${more}`;
}

/** What the built-in plugins bring for options to name. */
function namesTable(): string {
  const options = {
    ...{ loss: '`--loss`', regularizer: '`--regularizer`', tokenizer: '`--tokenizer`' },
    ...{ monitor: '`--monitors`', method: '`--method`' },
  };
  const rows = BUILT_IN_PLUGINS.flatMap(extensionsOf).flatMap(({ kind, item }) =>
    kind === 'data set' ? [] : [[options[kind], `\`${item.name}\``, item.summary]],
  );
  return markdownTable(['option', 'name', 'what it is'], rows);
}

function rowsOf(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, option]) => {
    const { group = '', help, unit, default: usual } = option;
    const allowed = allowedValues(option) + (unit ? `, in ${unit}` : '');
    return [group, `\`${flagOf(name, option)}\``, `\`${name}\``, help, allowed, formatValue(option, usual)];
  });
  return markdownTable(['group', 'flag', 'in a file', 'what it is', 'values', 'default'], rows);
}

function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [columns, columns.map(() => '---'), ...rows].map(line).join('');
}
