/**
 * Does pieces of work side by side and yields their results in the order of the items, while the next ones are being
 * worked on. A failure is thrown where its result would have come; nothing new is started after it, or after the caller
 * has stopped asking.
 * @param limits pieces of work that are done at the same time, and those that are under way, or done and not yet taken
 */
export async function* inOrder<Item, Result>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<Result>,
  { concurrency, ahead }: { concurrency: number; ahead: number },
): AsyncGenerator<Result> {
  const slots = new Slots(concurrency);
  const waiting: Promise<Result>[] = [];
  let stopped = false;
  try {
    for (const item of items) {
      const result = slots.run(async () => {
        if (stopped) throw new Error('nobody waits for this result');
        return work(item);
      });
      result.catch(() => {}); // reported when its turn comes
      waiting.push(result);
      if (waiting.length >= ahead) yield (await waiting.shift()) as Result;
    }
    while (waiting.length > 0) yield (await waiting.shift()) as Result;
  } finally {
    stopped = true;
  }
}

/** A number of places for work, given out in the order of asking. */
export class Slots {
  readonly #queue: (() => void)[] = [];

  constructor(private free: number) {}

  /** Does some work as soon as there is a place for it. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.free++;
    }
  }
}

/**
 * Lets readers in as long as what they and those before them hold is not too much. How much a reader will hold is known only
 * after it has read, so that the limit may be passed by what is read at the same time.
 */
export class ByteGate {
  readonly #slots: Slots;
  #waiting: (() => void)[] = [];
  #heldBytes = 0;

  /**
   * @param limitBytes that may be held before others have to wait
   * @param concurrency of reading
   */
  constructor(
    private readonly limitBytes: number,
    concurrency: number,
  ) {
    this.#slots = new Slots(concurrency);
  }

  /** Reads when there is room, and holds what was read until `use` has ended. */
  async hold<T>(read: () => Promise<Uint8Array>, use: (bytes: Uint8Array) => Promise<T>): Promise<T> {
    const bytes = await this.#slots.run(async () => {
      while (this.#heldBytes >= this.limitBytes) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const content = await read();
      this.#heldBytes += content.length;
      return content;
    });
    return use(bytes).finally(() => {
      this.#heldBytes -= bytes.length;
      for (const look of this.#waiting.splice(0)) look(); // each sees for itself whether there is room
    });
  }
}
