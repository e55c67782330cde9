import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { attempt } from '../../core/base/errors.js';

/**
 * Hosts in Linux namespaces: each has a name, processes and a network card of its own, and they share this machine's files. All
 * of a host ends with its first process, and that one when this process is gone.
 */
export interface Hosts {
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  /** A command that runs another one on a host. */
  on(host: number, command: readonly string[]): string[];
  /** Writes a program that is called like `ssh`, with the address of a host and a command. */
  writeAgent(path: string): void;
  /** Takes the other end of a host's cable out: nothing is told to either side. */
  cutOff(host: number): void;
  reconnect(host: number): void;
  /** What runs on a host, by the numbers that processes have here. */
  processes(host: number): { pid: number; command: string }[];
  remove(): Promise<void>;
}

/** The network card of every host. */
export const CARD = 'eth0';

/** Why there can be no hosts here; null where there can. */
export function whyNoHosts(): string | null {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid?.() !== 0) return 'this user is not root';
  const missing = PROGRAMS.find((name) => spawnSync(name, ['--version']).error);
  if (missing !== undefined) return `there is no ${missing}`;
  const { status, stderr } = spawnSync('unshare', [...OWN, 'true'], { encoding: 'utf8' });
  return status === 0 ? null : `namespaces cannot be made: ${stderr.trim()}`;
}

/** Starts hosts and connects all with one another. */
export async function startHosts(names: readonly string[]): Promise<Hosts> {
  const bridge = await startHost('bridge');
  const first = await startHost(names[0] ?? '');
  // A process can be started on a host from where it is seen: from the first one, where the launcher runs.
  const hosts = [first, ...(await Promise.all(names.slice(1).map((name) => startHost(name, first))))];
  const ip = ({ pid }: Host, ...args: string[]) => run(['nsenter', '-t', String(pid), '-n', 'ip', ...args]);
  const setPort = (host: number, state: 'up' | 'down') => ip(bridge, 'link', 'set', `port${host}`, state);
  const addresses = hosts.map((_, host) => `${NETWORK}.${host + 1}`);
  ip(bridge, 'link', 'add', 'br0', 'type', 'bridge');
  ip(bridge, 'link', 'set', 'br0', 'up');
  for (const [index, host] of hosts.entries()) {
    const port = `port${index}`;
    ip(bridge, 'link', 'add', port, 'type', 'veth', 'peer', 'name', CARD, 'netns', String(host.pid));
    ip(bridge, 'link', 'set', port, 'master', 'br0', 'up');
    ip(host, 'addr', 'add', `${addresses[index]}/24`, 'dev', CARD);
    ip(host, 'link', 'set', CARD, 'up');
    ip(host, 'link', 'set', 'lo', 'up');
  }
  return {
    names,
    addresses,
    on: (host, command) => [...enter((hosts[host] as Host).pid), ...command],
    writeAgent(path) {
      const cases = hosts.map((host, index) => {
        const there = host === first ? [] : enter(pidInside(host));
        return `${addresses[index]}) exec ${[...there, 'sh', '-c', '"$*"'].join(' ')};;`;
      });
      const skipOptions = 'while expr "$1" : - >/dev/null; do shift; done';
      const text = ['#!/bin/sh', skipOptions, 'host=$1', 'shift', 'case $host in', ...cases, 'esac', ''].join('\n');
      writeFileSync(path, text, { mode: 0o755 });
    },
    cutOff: (host) => setPort(host, 'down'),
    reconnect: (host) => setPort(host, 'up'),
    processes: (host) => processesOf(hosts[host] as Host),
    async remove() {
      await Promise.all([bridge, ...hosts].map(endHost));
    },
  };
}

/** The first process of a host, and what started it. */
type Host = { pid: number; child: ChildProcess };

const PROGRAMS = ['unshare', 'nsenter', 'ip', 'bash', 'hostname'];
const OWN = ['--net', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc'];
/** Addresses that are kept for tests of networks (RFC 2544); outside the namespaces they are not used. */
const NETWORK = '198.18.0';
/** What the first process does: it takes note of processes that ended, until nobody holds its standard input open. */
const FIRST = 'hostname "$0" && echo ready && while read -r _; do :; done';

/** @param inside the host whose processes see those of this one, and may start more of them */
async function startHost(name: string, inside?: Host): Promise<Host> {
  const command = [...(inside ? enter(inside.pid) : []), 'unshare', ...OWN, 'bash', '-c', FIRST, name];
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${name} did not start`))),
  ]);
  const childOf = (pid?: number) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  return { pid: childOf(inside ? childOf(child.pid) : child.pid), child };
}

/** Its number among the processes of the host inside which it is. */
function pidInside({ pid }: Host): number {
  const numbers = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.split(/\s+/) ?? [];
  return Number(numbers.at(-2));
}

function enter(pid: number): string[] {
  return ['nsenter', '-t', String(pid), '-a'];
}

async function endHost({ child }: Host): Promise<void> {
  const ended = once(child, 'exit');
  child.stdin?.end();
  await ended;
}

/** Those of its namespace that have not ended, but for the first. */
function processesOf(host: Host): { pid: number; command: string }[] {
  const spaceOf = (pid: number) => attempt(() => readlinkSync(`/proc/${pid}/ns/pid`), '');
  const space = spaceOf(host.pid);
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid !== host.pid && spaceOf(pid) === space);
  return pids
    .map((pid) => ({ pid, command: attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '') }))
    .filter(({ command }) => command !== '' && !command.startsWith('unshare\0'))
    .map(({ pid, command }) => ({ pid, command: command.split('\0').join(' ').trim() }));
}

function run([program = '', ...args]: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}
