import type { Socket } from 'node:net';

/** Characters of a line: of one that a stranger may have sent, and of one that carries a report. */
export const MAX_GREETING = 256;
export const MAX_LINE = 2 ** 18;

/**
 * Reads lines of words from a socket, and drops a socket that sends a longer one than `longest` allows.
 * @param onLine gets the first word of a line and what follows it
 */
export function readLines(socket: Socket, longest: () => number, onLine: (verb: string, rest: string) => void): void {
  let pending = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {}); // it closes
  socket.on('data', (text: string) => {
    const lines = `${pending}${text}`.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (socket.destroyed) return;
      if (line.length > longest()) socket.destroy();
      else onLine(...cut(line));
    }
    if (pending.length > longest()) socket.destroy();
  });
}

/** Sends a line, where that is still possible. */
export function sendLine(socket: Socket, ...words: readonly (string | number)[]): void {
  if (socket.writable) socket.write(`${words.join(' ')}\n`);
}

/** Says goodbye, and waits until the other side has heard it, for a second at most. */
export function takeLeave(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const timer = setTimeout(() => socket.destroy(), 1000);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end('bye\n');
  });
}

function cut(line: string): [verb: string, rest: string] {
  const space = line.indexOf(' ');
  return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
}
