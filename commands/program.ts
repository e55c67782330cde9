import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { UserError } from '../core/errors.js';
import { configCommand } from './config.js';
import { maskPreviewCommand } from './mask-preview.js';
import { pretrainCommand } from './pretrain.js';

const require = createRequire(import.meta.url);

/** How the program ends. A run that was stopped by a signal ends with 130 or 143. */
const EXIT = { done: 0, bug: 1, userError: 2 } as const;

/**
 * Runs the program with its arguments.
 * @returns the exit code: 0 done, 1 a bug, 2 something that the user can mend, 130 or 143 stopped by a signal
 */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done;
  const finish = (code: number) => {
    exitCode = code;
  };
  const { version } = require('../../package.json') as { version: string };
  const program = new Command('ijepa')
    .description(
      'Self-supervised learning from images with I-JEPA: predict the representations of parts of a picture from the rest of it.',
    )
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError('(--help lists what there is)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'ijepa: ')) })
    .exitOverride();
  for (const command of [pretrainCommand(finish), maskPreviewCommand(), configCommand()]) {
    program.addCommand(command.copyInheritedSettings(program));
  }
  endQuietlyWithoutReader();
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    return report(error);
  }
  return exitCode;
}

/** Says what went wrong on standard error; a stack only for bugs. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.userError;
  if (error instanceof UserError) {
    process.stderr.write(`ijepa: ${error.report}\n`);
    return EXIT.userError;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`ijepa: this is a bug of the program, please report it with the lines below\n${stack}\n`);
  return EXIT.bug;
}

/** `ijepa ... | head` closes the pipe early; that is no error. */
function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
