import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';

/** How the server answers a request for a file. */
export type Answer = (
  response: ServerResponse,
  content: Buffer,
  request: IncomingMessage,
  client: Client,
) => void | Promise<void>;

/** What the test has seen of the client, so that the server can wait for it. */
export interface Client {
  /** Of the file that it has, those of earlier answers too. */
  bytes: number;
}

/** A local server; it and its connections end with the test. */
export async function serve(t: ExecutionContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Serves one file: the first request gets the first answer, and so on; the last answer is given from then on. */
export async function serveFile(t: ExecutionContext, content: Buffer, answers: readonly Answer[]) {
  const requests: { path: string; range?: string | undefined; ifRange?: string | undefined }[] = [];
  const client: Client = { bytes: 0 };
  const address = await serve(t, (request, response) => {
    const { range, 'if-range': condition } = request.headers;
    requests.push({ path: request.url ?? '', range, ifRange: condition?.toString() });
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    void answer?.(response, content, request, client);
  });
  return { address, requests, client };
}

/** As servers should: ranges where they are asked for, with a tag that stands for the content. */
export const whole: Answer = (response, content, request) => {
  const from = startOf(response, content, request);
  response.end(content.subarray(from));
};

/** The whole file, whatever was asked for. */
export const withoutRanges: Answer = (response, content) => {
  response.writeHead(200, { 'content-length': content.length });
  response.end(content);
};

/** The connection breaks when some bytes of the answer have reached the client. */
export function breaksAfter(bytes: number, ranges = true): Answer {
  return async (response, content, request, client) => {
    if (!ranges) response.writeHead(200, { 'content-length': content.length });
    const from = ranges ? startOf(response, content, request) : 0;
    client.bytes = 0;
    response.write(content.subarray(from, from + bytes));
    while (client.bytes < from + bytes) await wait(10);
    response.destroy();
  };
}

/** Some bytes, then nothing more. */
export function stopsAfter(bytes: number): Answer {
  return (response, content, request) => {
    const from = startOf(response, content, request);
    response.write(content.subarray(from, from + bytes));
  };
}

/** A few bytes at a time. */
export function slow(piece: number, milliseconds: number): Answer {
  return async (response, content, request) => {
    for (let at = startOf(response, content, request); at < content.length; at += piece) {
      if (response.destroyed) return;
      response.write(content.subarray(at, at + piece));
      await wait(milliseconds);
    }
    response.end();
  };
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(code, headers);
    response.end();
  };
}

/** Writes the head of an answer to a request that may ask for a range; gives the place from which it is answered. */
function startOf(response: ServerResponse, content: Buffer, { headers }: IncomingMessage): number {
  const tag = `"${content.length}-${content[0]}"`;
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  if (from === 0 || (headers['if-range'] !== undefined && headers['if-range'] !== tag)) {
    response.writeHead(200, { 'content-length': content.length, etag: tag });
    return 0;
  }
  if (from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` });
    return content.length;
  }
  response.writeHead(206, {
    'content-length': content.length - from,
    'content-range': `bytes ${from}-${content.length - 1}/${content.length}`,
    etag: tag,
  });
  return from;
}

/** What goes wrong with a request for a file of a folder; null for nothing. */
export type Fault = 'drop' | 'cut' | 'busy' | 'too-many' | 'stall' | 'whole' | null;

export interface FolderServer {
  address: string;
  requests: { path: string; range: string | undefined; fault: Fault }[];
  /** Decides what goes wrong, by the number of the request, from 0, and what it asks for. */
  faultOf: (number: number, range: string | undefined) => Fault;
  /** What stands for the content of a file. */
  tagOf: (path: string) => string | null;
}

/**
 * Serves the files of a folder, with ranges. Faults: `drop` closes the connection before the answer, `cut` in the middle of
 * it, `stall` sends half and then nothing, `whole` ignores ranges.
 */
export async function serveFolder(t: ExecutionContext, folder: string): Promise<FolderServer> {
  const server: FolderServer = { address: '', requests: [], faultOf: () => null, tagOf: (path) => `"${path}"` };
  server.address = await serve(t, (request, response) => {
    const path = new URL(request.url ?? '', 'http://x').pathname;
    const { range } = request.headers;
    const fault = server.faultOf(server.requests.length, range);
    server.requests.push({ path, range, fault });
    readFile(join(folder, path)).then(
      (content) => answerRange(response, content, range, fault, server.tagOf(path)),
      () => response.writeHead(404).end(),
    );
  });
  return server;
}

function answerRange(
  response: ServerResponse,
  content: Buffer,
  range: string | undefined,
  fault: Fault,
  tag: string | null,
): void {
  if (fault === 'drop') return void response.destroy();
  if (fault === 'busy' || fault === 'too-many') {
    response.writeHead(fault === 'busy' ? 503 : 429, { 'retry-after': '0' }).end();
    return;
  }
  const asked = fault === 'whole' ? null : /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
  const [from, to] = asked
    ? [Number(asked[1]), Math.min(Number(asked[2]), content.length - 1)]
    : [0, content.length - 1];
  if (asked && from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const part = content.subarray(from, to + 1);
  const headers = { 'content-length': part.length, ...(tag !== null && { etag: tag }) };
  const place = { 'content-range': `bytes ${from}-${to}/${content.length}` };
  response.writeHead(asked ? 206 : 200, asked ? { ...headers, ...place } : headers);
  if (fault === 'cut' || fault === 'stall') {
    response.write(part.subarray(0, part.length >> 1), () => {
      if (fault === 'cut') setTimeout(() => response.destroy(), 5);
    });
  } else response.end(part);
}
