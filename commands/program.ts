import { Command } from 'commander';
import { keepIgnored, programArguments, programVersion, terminalOf } from '../core/base/program.js';
import { createCommand } from './command.js';
import { COMMANDS } from './index.js';
import { EXIT, reportEnd } from './report-error.js';
import { OWN_SOURCES, type RunSources, readSources } from './run-sources.js';

/** Characters of a line of help where the width of the terminal is not known. */
const USUAL_WIDTH = 80;
/**
 * Runs the program with its arguments.
 * @returns the exit code: 0 done, 1 a bug, 2 something that the user can mend, 130 or 143 stopped by a signal
 */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done;
  const finish = (code: number) => {
    exitCode = code;
  };
  const program = new Command('ijepa')
    .description('Self-supervised learning from images, with I-JEPA and other methods.')
    .version(programVersion())
    .showSuggestionAfterError()
    .configureOutput({
      outputError: () => {}, // it is thrown as well
      getOutHelpWidth: () => terminalOf(process.stdout).columns ?? USUAL_WIDTH,
      getErrHelpWidth: () => terminalOf(process.stderr).columns ?? USUAL_WIDTH,
    })
    .exitOverride();
  keepIgnored();
  const output = watchOutput();
  try {
    const words = programArguments(argv);
    const sources = await sourcesOf(words.slice(2));
    const named = COMMANDS.filter(({ name }) => name === words[2]); // help lists all of them, which takes longer to make
    for (const definition of named.length > 0 ? named : COMMANDS) {
      program.addCommand(inherit(createCommand(definition, sources, finish), program));
    }
    await addPluginCommands(program, argv[2]);
    await program.parseAsync([...words]);
  } catch (error) {
    return reportEnd(error);
  }
  return exitCode === EXIT.done && output.failed ? EXIT.userError : exitCode; // a later failure sets it itself
}

/** A command with the settings of the program, its subcommands too. */
function inherit(command: Command, program: Command): Command {
  for (const subcommand of command.commands) inherit(subcommand as Command, program);
  return command.copyInheritedSettings(program);
}

/** What options of runs come from, where a command has some; for help, as far as that can be read. */
async function sourcesOf(words: readonly string[]): Promise<RunSources> {
  const name = words[0] === 'help' ? words[1] : words[0];
  if (!COMMANDS.some((command) => command.name === name && command.hasRunOption)) return OWN_SOURCES;
  const isHelp = words.some((word) => ['help', '--help', '-h'].includes(word));
  return readSources(words).catch((error: unknown) => {
    if (isHelp) return OWN_SOURCES;
    throw error;
  });
}

/** Adds the subcommands of plugins where a word was given that is none of the program's own. */
async function addPluginCommands(program: Command, word: string | undefined): Promise<void> {
  const known = [...program.commands.map((command) => command.name()), 'help'];
  if (word === undefined || word.startsWith('-') || known.includes(word)) return;
  const { configuredPlugins } = await import('./plugins.js');
  for (const plugin of await configuredPlugins()) {
    const commands = plugin.commands?.((name) => new Command(name)) ?? [];
    for (const command of commands) program.addCommand(inherit(command, program));
  }
}

/**
 * What is said may find no reader, as in `ijepa ... | head`, or no room on a disk. Work goes on without it; only where
 * standard output could not be written for another reason than a closed pipe does the program end with an error.
 */
function watchOutput(): { readonly failed: boolean } {
  const output = { failed: false };
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || output.failed) return;
    output.failed = true;
    process.exitCode ||= EXIT.userError;
    process.stderr.write(`ijepa: standard output cannot be written: ${error.message}\n`);
  });
  return output;
}
