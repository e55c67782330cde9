import { connect, type Socket } from 'node:net';
import { startBeats } from './clock.js';
import {
  type Channel,
  type Door,
  deathReport,
  type End,
  failureReport,
  type GuardJob,
  say,
  silenceReport,
} from './contract.js';
import { MAX_LINE, readLines, sendLine, takeLeave } from './lines.js';

const OPENING_MS = 5000;

/**
 * The end of the channel of a rank other than 0: it tells rank 0 what it does, and ends when it is told to, or when nothing
 * is heard of rank 0.
 * @returns null where rank 0 does not answer
 */
export async function openMember(job: GuardJob, door: Door, end: End): Promise<Channel | null> {
  const { rank, peers, board, silence } = job;
  let silent = 0;
  let hasEnded = false;
  let hubHasLeft = false;
  let beats: ReturnType<typeof startBeats> | null = null;

  const socket = await reach(door, (verb, rest) => {
    silent = 0;
    if (verb === 'bye') hubHasLeft = true;
    if (verb === 'end') finish(JSON.parse(rest), false);
  });
  if (!socket) return null;
  sendLine(socket, 'join', rank);
  socket.on('close', () => {
    if (beats && !hubHasLeft) finish(deathReport(0, peers));
  });

  function finish(report: string, isOurs = rank === 1 && !beats?.wasAway()): void {
    if (hasEnded) return;
    hasEnded = true;
    beats?.stop();
    if (isOurs) say(report);
    end(report);
  }

  return {
    door,
    start() {
      if (socket.destroyed) return finish(deathReport(0, peers));
      beats = startBeats(silence, (seconds) => {
        silent += seconds;
        sendLine(socket, 'beat', Atomics.load(board, 0), Atomics.load(board, 1));
        if (silent < silence || hubHasLeft) return;
        const report = silenceReport(0, peers, silence);
        sendLine(socket, 'end', JSON.stringify(report)); // it may wake up
        finish(report);
      });
    },
    fail(report) {
      if (!hubHasLeft) sendLine(socket, 'fail', JSON.stringify(report));
      else finish(failureReport(rank, peers, report), true);
    },
    async close() {
      hasEnded = true;
      beats?.stop();
      await takeLeave(socket);
    },
  };
}

/** Tries all addresses at the same time and keeps the first at which rank 0 answers, within a few seconds. */
function reach(door: Door, onLine: (verb: string, rest: string) => void): Promise<Socket | null> {
  return new Promise((resolve) => {
    let kept: Socket | null = null;
    let failed = 0;
    const sockets = door.addresses.map((host) => {
      const socket = connect({ host, port: door.port, noDelay: true });
      socket.on('connect', () => sendLine(socket, 'hello', door.token));
      readLines(
        socket,
        () => MAX_LINE,
        (verb, rest) => {
          if (socket === kept) onLine(verb, rest);
          else if (verb === 'welcome' && rest === door.token) settle(socket);
          else socket.destroy();
        },
      );
      socket.on('close', () => {
        failed++;
        if (failed === sockets.length) settle(null);
      });
      return socket;
    });
    const timer = setTimeout(() => settle(null), OPENING_MS);
    function settle(found: Socket | null): void {
      clearTimeout(timer);
      kept ??= found;
      for (const socket of sockets) if (socket !== kept) socket.destroy();
      resolve(kept);
    }
    if (sockets.length === 0) settle(null);
  });
}
