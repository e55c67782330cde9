import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { CommandDefinition } from '../../commands/command.js';
import { COMMANDS } from '../../commands/index.js';
import { AUTO, allowedValues, flagOf, type Option, type OptionTable, takesAuto } from '../../core/config/option.js';
import { validateFlags, validateOptions, withDefaults } from '../../core/config/resolve.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';

/** Every command with the words that call it. */
function callsOf(commands: readonly CommandDefinition[], before: readonly string[] = []): [string[], OptionTable][] {
  return commands.flatMap(({ name, options, commands: below = [] }) => [
    [[...before, name], options] as [string[], OptionTable],
    ...callsOf(below, [...before, name]),
  ]);
}
const CALLS = callsOf(COMMANDS);

/** A word that an option cannot take; none where it takes any. */
function wrongWord({ kind, choices, min = Number.NEGATIVE_INFINITY }: Option<unknown>): string | null {
  if (kind === 'integer' || kind === 'number' || kind === 'interval') return Number.isFinite(min) ? `${min - 1}` : 'x';
  return choices && kind !== 'name' ? 'nonsense' : null;
}

test.serial(
  'help of every command has what its table has: each flag or argument, with text, values and default',
  async (t) => {
    t.true(CALLS.length > 15);
    for (const [words, options] of CALLS) {
      const { code, stdout } = await ijepaHere([...words, '--help']);
      t.is(code, 0, words.join(' '));
      const help = stdout.replaceAll(/\s+/g, ' ');
      const flags = new Set([...stdout.matchAll(/^ {2}(--[a-z0-9-]+)/gm)].map(([, flag]) => flag));
      for (const [name, option] of Object.entries(options)) {
        const at = `${words.join(' ')}: ${name}`;
        t.true(help.includes(option.help), at);
        if (option.positional) t.regex(stdout, new RegExp(`^ {2}${name} `, 'm'), at);
        else t.true(flags.delete(flagOf(name, option)), at);
        if (['integer', 'number', 'interval'].includes(option.kind)) t.true(help.includes(allowedValues(option)), at);
      }
      const hasMore = COMMANDS.some((command) => command.name === words[0] && command.hasRunOption);
      if (!hasMore) t.deepEqual([...flags], [], `${words.join(' ')}: flags that are in no table`);
    }
  },
);

test('every option of every command has a default that it allows, and refuses what help says it does not take', (t) => {
  for (const [words, options] of CALLS) {
    const all = withDefaults(options, {});
    for (const [name, option] of Object.entries(options)) {
      const at = `${words.join(' ')}: ${name}`;
      if (!option.required) t.deepEqual(validateOptions({ [name]: all[name] }, 'test', options)[name], all[name], at);
      if (takesAuto(option)) t.is(validateFlags({ [name]: AUTO }, options)[name], null, at);
      const word = wrongWord(option);
      if (word === null) continue;
      const error = t.throws(() => validateFlags({ [name]: word }, options), undefined, at);
      t.true(error?.message.startsWith(`${flagOf(name, option)} cannot be`), `${at}: ${error?.message}`);
    }
  }
});

test.serial('a wrong word of a flag has one message, whichever the command, and exit code 2', async (t) => {
  for (const [args, message] of [
    [['bench', '--config', 'c'], /--config cannot be "c"\n {2}expected: one of tiny, a, b/],
    [['bench', '--engine', 'wasm,onxx'], /--engine cannot be .*\n.*\n {2}what to do: did you mean 'onnx'/],
    [['bench', '--set', 'depth'], /--set cannot be 'depth'[\s\S]*NAME=VALUE/],
    [['bench', '--set', 'dpeth=2'], /unknown option 'dpeth'[\s\S]*did you mean 'depth'/],
    [
      ['bench', '--method', 'mae', '--loss', 'l2'],
      /--loss is an option of the methods ijepa, cjepa; this run's method is mae/,
    ],
    [['tables', '--format', 'pdf'], /--format cannot be "pdf"[\s\S]*one of text, csv, markdown, latex/],
    [['tables', '--format', 'csv', '--json'], /contradict one another/],
    [['engine', 'install', 'onyx'], /NAME cannot be "onyx"[\s\S]*did you mean 'onnx'/],
    [['probe', 'x', '--data', 'y', '--layer', 'last'], /unknown option '--layer'/],
    [['probe', 'x'], /none were named[\s\S]*name labelled images with --data/],
    [['finetune-1pct', 'x'], /required option '--data <data-set>' not specified/],
    [['features', 'x', 'y', '--out', 'z.npy', '--max-unreadable', '2'], /--max-unreadable cannot be 2/],
    [['mask-preview', '--out', 'x.png', '--samples', '0'], /--samples cannot be 0/],
    [['pretrain', 'shapes', '--method', 'maee'], /unknown method 'maee'[\s\S]*did you mean 'mae'/],
  ] as const) {
    const { code, stdout, stderr } = await ijepaHere(args);
    t.is(code, 2, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, message);
    t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
  }
});

test.serial('help is given whatever the configuration of the folder holds; a run is not', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'ijepa.config.yaml'), 'epochs: [\n');
  for (const args of [
    ['pretrain', '--help'],
    ['help', 'config'],
    ['mask-preview', '-h'],
  ]) {
    const { code, stdout, stderr } = await ijepaHere(args, folder);
    t.is(code, 0, stderr);
    t.regex(stdout, /I-JEPA \(--method ijepa\):/);
  }
  const { code, stderr } = await ijepaHere(['config'], folder);
  t.is(code, 2);
  t.regex(stderr, /ijepa\.config\.yaml cannot be read as a configuration/);
});
