import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isSystemError, reasonOf, UserError } from '../base/errors.js';

const HOST = '127.0.0.1';
/** Connections at a time, bytes of a request's head, and milliseconds for it. */
const MOST_CONNECTIONS = 32;
const LARGEST_HEAD = 16 * 1024;
const HEAD_TIMEOUT = 5000;

/** What can be asked for, by its whole address; each is made anew when it is. */
export type Served = Readonly<Record<string, { type: string; make: () => Promise<string> }>>;

const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/**
 * Serves some texts to browsers of this machine, at 127.0.0.1 alone. Only GET and HEAD of exactly the paths of `served` are
 * answered, and only where the request names this machine as its host, so that no page of another site can read them by a
 * name of its own that leads here (DNS rebinding). Everything else gets an empty answer: 403, 404 or 405. Nothing is read by a
 * path that is asked for, and nothing is written.
 * @param port 0: any that is free
 * @param failed is told what went wrong when a text was made, which is answered by 500
 * @throws UserError if the port is taken or may not be used
 */
export async function startWatchServer(port: number, served: Served, failed: (reason: string) => void) {
  const server = createServer({ maxHeaderSize: LARGEST_HEAD }, (request, response) => {
    const own = (server.address() as AddressInfo | null)?.port ?? port;
    answer(request, response, own, served).catch((error: unknown) => {
      failed(reasonOf(error));
      if (!response.headersSent) refuse(response, 500);
      else response.destroy();
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.headersTimeout = HEAD_TIMEOUT;
  server.requestTimeout = HEAD_TIMEOUT;
  server.on('clientError', (_, socket) => socket.destroy());
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(explainPort(error, port)));
    server.listen(port, HOST, () => resolve());
  });
}

function explainPort(error: Error, port: number): Error {
  const remedy = 'use another --port, or --port 0 for any that is free';
  if (isSystemError(error, 'EADDRINUSE')) {
    return new UserError(`port ${port} is taken`, { expected: 'a port that no other program listens at', remedy });
  }
  if (isSystemError(error, 'EACCES')) {
    return new UserError(`port ${port} may not be used by this user`, { expected: 'a port from 1024 on', remedy });
  }
  return error;
}

async function answer(request: IncomingMessage, response: ServerResponse, port: number, served: Served): Promise<void> {
  const { method, url = '' } = request;
  const hosts = [HOST, 'localhost'].flatMap((name) => [name, `${name}:${port}`]);
  if (!hosts.includes(request.headers.host ?? '')) return refuse(response, 403);
  const found = Object.hasOwn(served, url) ? served[url] : undefined;
  if (!found) return refuse(response, 404);
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405);
  const body = Buffer.from(await found.make());
  response.writeHead(200, {
    ...HEADERS,
    'Content-Type': `${found.type}; charset=utf-8`,
    'Content-Length': body.length,
  });
  response.end(method === 'HEAD' ? undefined : body);
}

/** An answer without anything in it; the connection ends, and with it whatever else was sent. */
function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { ...HEADERS, 'Content-Length': 0, Connection: 'close' });
  response.end();
}
