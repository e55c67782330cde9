/** How far work runs ahead of who takes its results. */
export interface AheadLimits {
  /** Pieces of work that are done at the same time. */
  concurrency: number;
  /** Pieces of work that are under way, or done and not yet taken. */
  ahead: number;
}

/**
 * Does pieces of work side by side and yields their results in the order of the items, while the next ones are being
 * worked on. A failure is thrown where its result would have come; nothing new is started after it, or after the caller
 * has stopped asking.
 */
export async function* inOrder<Item, Result>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<Result>,
  { concurrency, ahead }: AheadLimits,
): AsyncGenerator<Result> {
  const slots = new Slots(concurrency);
  const waiting: Promise<Result>[] = [];
  let stopped = false;
  const start = (item: Item): Promise<Result> =>
    slots.run(async () => {
      if (stopped) throw new Error('nobody waits for this result');
      return work(item);
    });
  try {
    for (const item of items) {
      const result = start(item);
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
    await this.#take();
    try {
      return await work();
    } finally {
      this.#giveBack();
    }
  }

  async #take(): Promise<void> {
    if (this.free > 0) {
      this.free--;
      return;
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  #giveBack(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.free++;
  }
}
