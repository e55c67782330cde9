/**
 * Lets readers in as long as what they and those before them hold is not too much. How much a reader will hold is known only
 * after it has read, so that the limit may be passed by what is read at the same time.
 */
export class ByteGate {
  #heldBytes = 0;
  #reading = 0;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param limitBytes that may be held before others have to wait
   * @param mostReading that may read at the same time
   */
  constructor(
    private readonly limitBytes: number,
    private readonly mostReading: number,
  ) {}

  /** Reads when there is room, and holds what was read until `use` has ended. */
  async hold<T>(read: () => Promise<Uint8Array>, use: (bytes: Uint8Array) => Promise<T>): Promise<T> {
    while (this.#heldBytes >= this.limitBytes || this.#reading >= this.mostReading) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const bytes = await this.#read(read);
    try {
      return await use(bytes);
    } finally {
      this.#heldBytes -= bytes.length;
      this.#letIn();
    }
  }

  async #read(read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    this.#reading++;
    try {
      const bytes = await read();
      this.#heldBytes += bytes.length;
      return bytes;
    } finally {
      this.#reading--;
      this.#letIn();
    }
  }

  /** Wakes one that waits; it looks for itself whether there is room. */
  #letIn(): void {
    this.#waiting.shift()?.();
  }
}
