import { join } from 'node:path';
import { shownName } from '../../base/file-names.js';

/** Some things that were found and not taken, for one reason. */
export interface LeftOutGroup {
  /** What they are, one of them: 'picture'. */
  noun: string;
  reason: string;
  count: number;
  /** The first of them: a name, or a path. */
  example: string;
}

/** What was found and not taken: counted by reason, with an example of each. */
export class LeftOut {
  readonly #groups = new Map<string, LeftOutGroup>();

  add(noun: string, reason: string, example: string, number = 1): void {
    const key = `${noun}: ${reason}`;
    const group = this.#groups.get(key);
    if (group) group.count += number;
    else this.#groups.set(key, { noun, reason, count: number, example });
  }

  /** @param folder where they were found, which goes before the examples */
  addAll(groups: readonly LeftOutGroup[], folder: string): void {
    for (const { noun, reason, example, count } of groups) this.add(noun, reason, join(folder, example), count);
  }

  get groups(): readonly LeftOutGroup[] {
    return [...this.#groups.values()];
  }

  /** For people, one line for each reason: '5 pictures left out: HEIC is not read, such as photos/a.heic'. */
  get notes(): string[] {
    return this.groups.map(({ noun, reason, count, example }) => {
      const such = count === 1 ? ': ' : ', such as ';
      const nouns = count === 1 ? noun : noun.replace(/y$/, 'ie').concat('s');
      return `${count} ${nouns} left out: ${reason}${such}${shownName(example)}`;
    });
  }
}
