import { UserError } from '../base/errors.js';

export interface UnreadableImage {
  readonly name: string;
  /** In one line. */
  readonly reason: string;
}

/** Examples in the message when there are too many. */
const MAX_SHOWN = 5;

/** The images that could not be read, each once, up to a fraction of all. */
export class UnreadableList {
  readonly #images = new Map<number, UnreadableImage>();

  /**
   * @param total images of the data set
   * @param allowedFraction fraction of them that may be unreadable
   */
  constructor(
    private readonly total: number,
    private readonly allowedFraction: number,
  ) {}

  /** In the order of the data set. */
  get images(): readonly UnreadableImage[] {
    return [...this.#images].sort(([a], [b]) => a - b).map(([, image]) => image);
  }

  /**
   * Notes image number `index`.
   * @throws UserError if there are now more than allowed
   */
  add(index: number, image: UnreadableImage): void {
    this.#images.set(index, image);
    const count = this.#images.size;
    if (count <= this.allowedFraction * this.total) return;
    const lines = this.images.slice(0, MAX_SHOWN).map(({ name, reason }) => `${name}: ${reason}`);
    const problem =
      count === 1
        ? `an image cannot be read: ${lines[0]}`
        : `${count} of ${this.total} images cannot be read\n    ${lines.join('\n    ')}`;
    throw new UserError(problem, {
      expected: `at most ${Number((100 * this.allowedFraction).toFixed(2))}% of the images unreadable`,
      remedy: 'repair or remove them, or raise --max-unreadable',
    });
  }
}
