import { RandomStream } from '../base/random.js';

/** Steps of a permutation. Six of each half look random; four is the least that theory asks for. */
const ROUNDS = 12;
const LARGEST_CHUNK = 64;
/** Chunks that a buffer holds at least, so that neighbours of a chunk are spread among others. */
const CHUNKS_IN_BUFFER = 8;

/**
 * The orders of epochs: random permutations of all images, computed position by position and never stored.
 * They depend on these and on the epoch alone: never on how the images are stored.
 * @param shuffleBuffer images that are shuffled among themselves (N), of chunks of neighbours that come in random order, so
 * that reading stays near a few places at a time; null for an order in which any image may be anywhere
 * @returns of each epoch, the index in the data set of the image at a position
 */
export function epochOrders(seed: number, images: number, shuffleBuffer: number | null = null) {
  return lastKept((epoch) => {
    if (shuffleBuffer !== null && shuffleBuffer < images) return windowedOrder(seed, epoch, images, shuffleBuffer);
    return permutation(images, new RandomStream(seed, 'order', epoch)).at;
  });
}

/** Images of a chunk in an order with such a buffer. */
export function chunkSize(shuffleBuffer: number): number {
  return Math.max(1, Math.min(LARGEST_CHUNK, Math.floor(shuffleBuffer / CHUNKS_IN_BUFFER)));
}

/**
 * A random permutation of the whole numbers below `count`, and its inverse, that takes no memory: a Feistel network on the
 * bits of the position, over the smallest power of two that holds `count`, and again on what comes out until it is below
 * `count` (cycle walking: fewer than two times on average). Each round adds to one half of the bits a hash of
 * the other half and of a key from the stream.
 */
export function permutation(count: number, stream: RandomStream) {
  const bits = count <= 1 ? 0 : 32 - Math.clz32(count - 1);
  const lowBits = (bits + 1) >> 1;
  const lowMask = 2 ** lowBits - 1;
  const highMask = 2 ** (bits - lowBits) - 1;
  const keys = Int32Array.from({ length: ROUNDS }, () => stream.integer(-(2 ** 31), 2 ** 31 - 1));
  /** The rounds from `first` on; each undoes itself, so that backwards they are the inverse. */
  const walk = (start: number, first: number, direction: 1 | -1): number => {
    if (!(start >= 0 && start < count)) throw new RangeError(`${start} is not below ${count}`);
    let value = start;
    do {
      let low = value & lowMask;
      let high = (value >>> lowBits) & highMask;
      for (let done = 0, round = first; done < ROUNDS; done++, round += direction) {
        if (round % 2 === 0) low ^= hash(high, keys[round]) & lowMask;
        else high ^= hash(low, keys[round]) & highMask;
      }
      value = high * 2 ** lowBits + low;
    } while (value >= count);
    return value;
  };
  return {
    at: (position: number) => walk(position, 0, 1),
    positionOf: (value: number) => walk(value, ROUNDS - 1, -1),
  };
}

/** 32 bits that depend on every bit of a number and of a key (the finaliser of MurmurHash3, twice). */
function hash(value: number, key: number): number {
  return mix(mix(value ^ key) + key);
}

function mix(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** Chunks in random order, shuffled in windows of `window` images. */
function windowedOrder(seed: number, epoch: number, images: number, window: number) {
  const size = chunkSize(window);
  const chunks = Math.ceil(images / size);
  const chunkOrder = permutation(chunks, new RandomStream(seed, 'order/chunks', epoch));
  // The last chunk may be a short one, wherever it comes.
  const missing = chunks * size - images;
  const afterShort = chunkOrder.positionOf(chunks - 1) * size + size - missing;
  const inWindow = lastKept((number) => {
    const length = Math.min(window, images - number * window);
    return permutation(length, new RandomStream(seed, 'order/window', epoch, number)).at;
  });
  return (position: number): number => {
    if (!(position >= 0 && position < images)) throw new RangeError(`${position} is not below ${images}`);
    const number = Math.floor(position / window);
    const drawn = number * window + inWindow(number)(position - number * window);
    const place = drawn < afterShort ? drawn : drawn + missing; // as if all chunks were whole
    return chunkOrder.at(Math.floor(place / size)) * size + (place % size);
  };
}

/** Keeps the last result of a function of a number, because positions and epochs come in sequence. */
function lastKept<T>(make: (number: number) => T): (number: number) => T {
  let last: { number: number; made: T } | undefined;
  return (number) => {
    if (last?.number !== number) last = { number, made: make(number) };
    return last.made;
  };
}
