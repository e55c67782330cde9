import { appendFileSync, existsSync } from 'node:fs';
import { explainSystemError, reasonOf, UserError } from '../base/errors.js';
import { shownName } from '../base/file-names.js';
import { linesOf } from '../base/text.js';

/** Images shown in the message when there are too many unreadable ones. */
const SHOWN = 5;

/** Takes note of images that cannot be read. */
export type UnreadableImages = Pick<SkippedImages, 'add'>;

/**
 * Why an image cannot be read, in one line.
 * @throws the error itself where it is not about this image: where a server stays away, or nobody waits for it any more, no
 * image is to be skipped
 */
export function unreadableReason(error: unknown): string {
  if (error instanceof UserError || isAbort(error)) throw error;
  return reasonOf(error);
}

/** Whether an error says that what was asked for is not wanted any more. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** A line of a list of images that cannot be read: name, tab, reason. A name that has neither tab nor line break stays. */
export function listedLine(name: string, reason: string): string {
  const inLine = /[\t\n\r]/.test(name) ? shownName(name) : name;
  return `${inLine}\t${reason.replaceAll(/\s+/g, ' ')}`;
}

/** The images that could not be read: each counted and listed once in a file, a tab between name and reason. */
export class SkippedImages {
  readonly #names = new Set<string>();
  readonly #examples: string[] = [];

  /**
   * @param file the list; images that it already names (from before an interruption) are not listed again
   * @param total images of the data set
   * @param allowedFraction fraction of them that may be unreadable
   */
  constructor(
    readonly file: string,
    private readonly total: number,
    private readonly allowedFraction: number,
  ) {
    if (!existsSync(file)) return;
    for (const line of linesOf(file)) {
      const name = line.split('\t')[0];
      if (name) this.#names.add(name);
    }
  }

  get count(): number {
    return this.#names.size;
  }

  /** Notes an unreadable image. @throws UserError if there are now more than allowed */
  add(image: string, reason: string): void {
    const line = listedLine(image, reason);
    const [name] = line.split('\t');
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.#examples.length < SHOWN) this.#examples.push(line.replace('\t', ': '));
    try {
      appendFileSync(this.file, `${line}\n`);
    } catch (error) {
      throw explainSystemError(error, this.file);
    }
    if (this.count > this.allowedFraction * this.total) {
      const percent = (100 * this.allowedFraction).toFixed(0);
      const problem = `${this.count} of ${this.total} images cannot be read, more than ${percent}%`;
      throw new UserError([problem, ...this.#examples].join('\n    '), {
        expected: `at most ${percent}% unreadable images (--max-unreadable)`,
        remedy: `repair or remove them (all that were met are listed in ${this.file}), or raise --max-unreadable`,
      });
    }
  }
}
