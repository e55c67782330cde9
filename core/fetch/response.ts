import { reasonOf, UserError } from '../base/errors.js';
import type { Part, RemoteFile } from './part.js';

/** A failure that may pass: the connection broke off, or the server is busy. */
export class PassingFailure extends Error {
  override readonly name = 'PassingFailure';
  constructor(
    reason: string,
    /** What the server asks to wait, in seconds. */
    readonly waitSeconds: number | null = null,
  ) {
    super(reason);
  }
}

/** What a response brings: bytes of the file from `start` on. */
export interface Delivery {
  start: number;
  /** Size of the whole file in bytes, where it is known. */
  total: number | null;
  validator: string | null;
}

/** Asks for what is missing of a file, on the condition that it is still the same file. */
export function requestHeaders(part: Part): Record<string, string> {
  const headers = { 'accept-encoding': 'identity' };
  if (part.bytes === 0) return headers;
  const validator = part.record?.validator;
  return { ...headers, range: `bytes=${part.bytes}-`, ...(validator && { 'if-range': validator }) };
}

/**
 * What a response to such a request brings: the rest, or the whole file anew where the server knows no ranges or has
 * another file by now. Null where it contradicts the part, so that one has to begin anew.
 * @throws PassingFailure where it is worth trying again
 * @throws UserError where the server does not have the file
 */
export function readResponse(response: Response, part: Part, file: RemoteFile): Delivery | null {
  const { status, headers } = response;
  if (status === 416) return null;
  checkStatus(
    response,
    file.url,
    'the file may have moved: look at the page of the data set, or name another place with --mirror',
  );
  if (!file.checksum && headers.get('content-type')?.startsWith('text/html')) {
    throw new UserError(`${file.url} answers with a web page`, {
      expected: 'a file',
      remedy: 'open the address in a browser: it may ask for a login or an agreement',
    });
  }
  const delivery = status === 206 ? rangeOf(headers) : wholeOf(headers);
  if (!delivery || (status === 206 && !fits(delivery, part))) return null;
  if (file.bytes !== undefined && delivery.total !== null && delivery.total !== file.bytes) {
    throw new UserError(`${file.url} has ${delivery.total} bytes`, {
      expected: `${file.bytes} bytes`,
      remedy:
        'this is another file than the one that is known: look at the page of the data set, or use another --mirror',
    });
  }
  return { ...delivery, total: delivery.total ?? file.bytes ?? null };
}

/**
 * Refuses answers that bring no file.
 * @throws PassingFailure where the server is busy
 * @throws UserError where it does not have the file
 */
export function checkStatus(response: Response, url: string, remedy: string): void {
  const { status, headers } = response;
  if (status === 408 || status === 429 || status >= 500) {
    const wait = Number(headers.get('retry-after') ?? Number.NaN);
    throw new PassingFailure(`the server answers ${describe(response)}`, Number.isFinite(wait) ? wait : null);
  }
  if (status === 200 || status === 206) return;
  throw new UserError(`${url} answers ${describe(response)}`, { expected: 'the address of a file', remedy });
}

/** Why a request failed, in one line. */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && cause.message === '' && 'code' in cause) return String(cause.code);
  return reasonOf(cause);
}

/** Content-Range: bytes 100-199/200 */
export function rangeOf(headers: Headers): Delivery | null {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
  if (!match) return null;
  return {
    start: Number(match[1]),
    total: match[2] === '*' ? null : Number(match[2]),
    validator: validatorOf(headers),
  };
}

function wholeOf(headers: Headers): Delivery {
  // The length is that of the bytes that arrive here only where they are not packed for the way.
  const isPacked = (headers.get('content-encoding') ?? 'identity') !== 'identity';
  const length = isPacked ? null : headers.get('content-length');
  return { start: 0, total: length === null ? null : Number(length), validator: validatorOf(headers) };
}

/** Whether a range goes on where the part ends, in a file of the same size. */
function fits({ start, total }: Delivery, { bytes, record }: Part): boolean {
  return start === bytes && (total === null || !record || record.total === null || total === record.total);
}

/** A weak ETag does not promise the same bytes. */
function validatorOf(headers: Headers): string | null {
  const tag = headers.get('etag');
  return tag && !tag.startsWith('W/') ? tag : headers.get('last-modified');
}

function describe({ status, statusText }: Response): string {
  return `${status} ${statusText}`.trim();
}
