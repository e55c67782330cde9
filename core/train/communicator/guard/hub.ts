import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { startBeats } from './clock.js';
import { type Channel, deathReport, type End, failureReport, type GuardJob, say } from './contract.js';
import { MAX_GREETING, MAX_LINE, readLines, sendLine, takeLeave } from './lines.js';
import { Watch } from './watch.js';

const LOOPBACK = '127.0.0.1';
/** Milliseconds in which what other ranks have sent is read. */
const HEARING_MS = 250;
const GREETING_MS = 10_000;

/**
 * Rank 0's end of the channel: it knows of all ranks, decides whether one is lost, says so and ends the others.
 * @throws Error if it cannot listen
 */
export async function openHub(job: GuardJob, end: End): Promise<Channel> {
  const { peers, board } = job;
  const members = new Map<number, Socket>();
  const gone = new Set<number>();
  const watch = new Watch(peers, job);
  const token = randomBytes(16).toString('hex');
  const mostStrangers = 64 + 8 * peers.length;
  let strangers = 0;
  let hasEnded = false;
  let beats: ReturnType<typeof startBeats> | null = null;

  function finish(report: string, isOurs = true): void {
    if (hasEnded) return;
    hasEnded = true;
    beats?.stop();
    if (isOurs) say(report);
    for (const socket of members.values()) sendLine(socket, 'end', JSON.stringify(report));
    end(report);
  }

  const server = createServer({ noDelay: true }, (socket) => {
    if (strangers >= mostStrangers) {
      socket.destroy();
      return;
    }
    strangers++;
    const timer = setTimeout(() => socket.destroy(), GREETING_MS);
    let isKnown = false;
    let rank = -1;
    const settle = () => {
      if (rank < 0) strangers--;
      clearTimeout(timer);
    };
    readLines(
      socket,
      () => (isKnown ? MAX_LINE : MAX_GREETING),
      (verb, rest) => {
        if (!isKnown) {
          isKnown = verb === 'hello' && isEqual(rest, token);
          if (isKnown) sendLine(socket, 'welcome', token);
          else socket.destroy();
        } else if (rank < 0) {
          // A rank tries all addresses, and joins by one of them.
          const joining = verb === 'join' ? Number(rest) : 0;
          if (!(joining > 0 && joining < peers.length) || members.has(joining)) {
            socket.destroy();
            return;
          }
          settle();
          rank = joining;
          members.set(rank, socket);
        } else hear(rank, verb, rest);
      },
    );
    socket.on('close', () => {
      if (rank < 0) return settle();
      if (!gone.has(rank)) finish(deathReport(rank, peers), !beats?.wasAway());
    });
  });

  function hear(rank: number, verb: string, rest: string): void {
    if (verb === 'beat') {
      const [phase = 0, counter = 0] = rest.split(' ').map(Number);
      watch.heard(rank, phase, counter);
    }
    if (verb === 'fail') finish(failureReport(rank, peers, JSON.parse(rest)));
    if (verb === 'bye') {
      gone.add(rank);
      watch.leave(rank);
    }
    if (verb === 'end') {
      // It has not heard this rank. Rank 1 says so where it has not either: what it sent may lie behind this.
      const report = JSON.parse(rest);
      gone.add(rank);
      if (rank === 1) finish(report, false);
      else setTimeout(() => finish(report, !beats?.wasAway()), HEARING_MS);
    }
  }

  const isOneHost = peers.every(({ host }) => host === peers[0]?.host);
  server.listen(0, ...(isOneHost ? [LOOPBACK] : []));
  await once(server, 'listening');
  server.on('error', () => {}); // a connection that was not taken: its rank does not join
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    door: { addresses: isOneHost ? [LOOPBACK] : ownAddresses(), port, token },
    start() {
      server.close(); // to more
      beats = startBeats(job.silence, (seconds) => {
        for (const socket of members.values()) sendLine(socket, 'beat');
        watch.heard(0, Atomics.load(board, 0), Atomics.load(board, 1));
        const report = watch.pass(seconds);
        if (report !== null) finish(report);
      });
    },
    fail: finish,
    async close() {
      hasEnded = true;
      beats?.stop();
      server.close();
      await Promise.all([...members.values()].map(takeLeave));
    },
  };
}

/** By which others may reach this host. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address);
}

function isEqual(given: string, secret: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(secret)];
  return left.length === right.length && timingSafeEqual(left, right);
}
