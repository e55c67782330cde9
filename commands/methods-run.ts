import { configuredPlugins, methodsOf } from './plugins.js';

/** Prints the methods that there are, the usual one first. */
export async function listMethods(json: boolean): Promise<void> {
  const methods = methodsOf(await configuredPlugins());
  const rows = methods.map(({ name, title, summary, options, presets }) => ({
    name,
    title,
    summary,
    options: Object.keys(options),
    presets: Object.entries(presets).map(([preset, { summary }]) => ({ name: preset, summary })),
  }));
  process.stdout.write(json ? `${JSON.stringify(rows)}\n` : `${rows.flatMap(describe).join('\n')}\n`);
}

function describe({
  name,
  title,
  summary,
  presets,
}: {
  name: string;
  title: string;
  summary: string;
  presets: readonly { name: string; summary: string }[];
}): string[] {
  const width = Math.max(0, ...presets.map((preset) => preset.name.length)) + 2;
  return [
    `${name}: ${title} ${summary}`,
    ...presets.map((preset) => `  --preset ${preset.name.padEnd(width)}${preset.summary}`),
  ];
}
