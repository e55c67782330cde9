import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { attempt } from '../core/base/errors.js';
import { runFolder } from '../core/run/run-folder.js';
import type { MpiFamily } from '../core/train/communicator/launcher.js';
import { differences } from './faults/differences.js';
import { type Ended, SMALLEST, startProgram } from './helpers/command.js';
import { whenLogged } from './helpers/faults.js';
import { type Launcher, launchers } from './helpers/launchers.js';
import { CARD, type Hosts, startHosts, whyNoHosts } from './helpers/namespaces.js';
import { COMMAND } from './helpers/paths.js';

/*
 * Runs of three ranks on three hosts, one of which is lost: `npm run test:hosts`. The hosts are namespaces of Linux that a network
 * joins, and each launcher of MPI that is there starts the ranks over it. A run that has lost a host or a rank has to end on
 * all of them, say once which one it was, and, started again with --resume, end in the bytes of the undisturbed run.
 */

/** What happens to a run, and what it then says. */
interface Fault {
  title: string;
  happens(hosts: Hosts): void;
  /** What is said, once; null where it cannot be. */
  says: RegExp | null;
}

const RUN = [
  ...['pretrain', 'shapes:480', ...SMALLEST.slice(1)],
  ...'--batch-size 24 --epochs 3 --save-every-steps 5'.split(' '),
];
/** Steps after which a run is disturbed, of 60. */
const DISTURBED_AFTER = 13;
const NAMES = ['host1', 'host2', 'host3'];
const LAST = NAMES.length - 1;
/** Seconds in which a run has to be done, all its ranks have to end after it has lost one, and then their launcher. */
const RUN_ENDS = 180;
const RANKS_END = 40;
const LAUNCHER_ENDS = 20;
const LOOK_MS = 100;
/** Milliseconds after which a cable that was put in again is noticed, at the latest. */
const CABLE_MS = 3000;
/** For the libraries under MPICH, which see that the hosts are one machine: they share no memory. */
const TCP = { UCX_TLS: 'tcp,self', UCX_NET_DEVICES: CARD, FI_PROVIDER: 'tcp' };
/** What Open MPI's launcher may say itself. */
const DAEMON_LOST = /ORTE has lost communication with a remote daemon/;

const FAULTS: readonly Fault[] = [
  {
    title: 'a host is cut off',
    happens: (hosts) => hosts.cutOff(LAST),
    says: /nothing has been heard of rank 2 on host3/,
  },
  { title: 'the host of rank 0 is cut off', happens: (hosts) => hosts.cutOff(0), says: null },
  {
    title: 'a rank is killed',
    happens: (hosts) => kill(ranksOn(hosts, LAST)),
    says: null,
  },
];

const missing = whyNoHosts() ?? (launchers().length === 0 ? 'there is no launcher of MPI' : null);
if (missing === null) await tryAll();
else process.stdout.write(`runs on many hosts are not tried: ${missing}\n`);

async function tryAll(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ijepa-hosts-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(1); // the hosts end with this process
    });
  }
  const hosts = await startHosts(NAMES);
  hosts.writeAgent(join(folder, 'agent'));
  let [passed, failed] = [0, 0];
  const count = (title: string, faults: readonly string[]) => {
    if (faults.length === 0) passed++;
    else failed++;
    process.stdout.write(`${faults.length === 0 ? 'ok' : 'FAILED'}  ${[title, ...faults].join('\n')}\n`);
  };
  try {
    for (const launcher of launchers()) await tryLauncher(launcher, hosts, folder, count);
  } finally {
    await hosts.remove();
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function tryLauncher(
  launcher: Launcher,
  hosts: Hosts,
  folder: string,
  count: (title: string, faults: readonly string[]) => void,
): Promise<void> {
  const runOf = (name: string) => runFolder(join(folder, `${launcher.name} ${name}`.replaceAll(' ', '-')));
  const start = starterOf(launcher, hosts, folder);
  const whole = runOf('undisturbed');
  const ended = await untilEnd(start([...RUN, '--out', whole.path]), hosts);
  count(`${launcher.name}: nothing happens`, ended.code === 0 ? [] : [describe(ended)]);
  if (ended.code !== 0) return;
  for (const { title, happens, says } of FAULTS) {
    const run = runOf(title);
    const lost = await lose(start([...RUN, '--out', run.path]), run.path, hosts, happens);
    const resumed = await untilEnd(start(['pretrain', '--resume', '--out', run.path]), hosts);
    killAll(hosts); // daemons on a host that was cut off, which hold open what the launcher wrote to
    const { stderr } = await lost.all;
    count(`${launcher.name}: ${title}: ranks end after ${lost.rankSeconds} s, the launcher after ${lost.seconds} s`, [
      ...lost.faults,
      ...faultsOfWords(stderr, says),
      ...(resumed.code === 0 ? await differences(run, whole) : [`it does not go on: ${describe(resumed)}`]),
    ]);
  }
}

/** The program in ranks, started. */
interface Started {
  /** The launcher's own end. */
  exit: Promise<void>;
  /** The end of all that it started. */
  all: Promise<Ended>;
}

/** Lets something happen to a run, waits for its ranks and its launcher to end, and connects all hosts again. */
async function lose({ exit, all }: Started, run: string, hosts: Hosts, happens: Fault['happens']) {
  const faults: string[] = [];
  let [happened, hasEnded] = [false, false];
  const stopWaiting = whenLogged(run, DISTURBED_AFTER, () => {
    happens(hosts);
    happened = true;
  });
  exit.then(() => {
    hasEnded = true;
  });
  await until(() => happened || hasEnded, RUN_ENDS);
  stopWaiting();
  if (!happened) faults.push('it ended, or hung, before anything happened');
  const rankSeconds = await until(() => allRanks(hosts).length === 0, RANKS_END);
  faults.push(...allRanks(hosts).map(({ command }) => `a rank stays: ${command}`));
  const seconds = rankSeconds + (await until(() => hasEnded, LAUNCHER_ENDS));
  if (!hasEnded) faults.push('the launcher stays');
  if (faults.length > 0) killAll(hosts);
  for (const host of hosts.names.keys()) hosts.reconnect(host);
  await setTimeout(CABLE_MS);
  return { all, rankSeconds: Math.round(rankSeconds), seconds: Math.round(seconds), faults };
}

/** Waits for the end of a run, and makes one when it takes too long. */
async function untilEnd({ all }: Started, hosts: Hosts): Promise<Ended> {
  let hasEnded = false;
  all.then(() => {
    hasEnded = true;
  });
  await until(() => hasEnded, RUN_ENDS);
  if (!hasEnded) killAll(hosts);
  return all;
}

/** Waits until something is so, or for so many seconds. @returns the seconds that it took */
async function until(isSo: () => boolean, seconds: number): Promise<number> {
  const since = performance.now();
  const passed = () => (performance.now() - since) / 1000;
  while (!isSo() && passed() < seconds) await setTimeout(LOOK_MS);
  return passed();
}

/** What is wrong with what was said of a fault. */
function faultsOfWords(said: string, expected: RegExp | null): string[] {
  const reports = said.match(/^ijepa: .*$/gm) ?? [];
  if (reports.length > 1) return ['more than one message:', ...reports];
  return expected === null || expected.test(said) || DAEMON_LOST.test(said)
    ? []
    : [`it is not said what happened: ${said}`];
}

/** What starts the program in ranks, one on each host. */
function starterOf({ family, command, args }: Launcher, hosts: Hosts, folder: string) {
  const all = hosts.addresses.join();
  const agent = join(folder, 'agent');
  const network: Record<MpiFamily, string[]> = {
    'Open MPI': [
      ...['--host', all, '--mca', 'plm_rsh_agent', agent, '--mca', 'pml', 'ob1', '--mca', 'btl', 'tcp,self'],
      ...['btl_tcp_if_include', 'oob_tcp_if_include'].flatMap((name) => ['--mca', name, CARD]),
    ],
    MPICH: ['-launcher', 'ssh', '-launcher-exec', agent, '-iface', CARD, '-hosts', all],
  };
  const before = [command, ...args(hosts.names.length), ...network[family], process.execPath, COMMAND];
  return (program: readonly string[]): Started => {
    let exit = Promise.resolve();
    const started = (child: ChildProcess) => {
      exit = once(child, 'exit').then(() => {});
    };
    const all = startProgram(hosts.on(0, [...before, ...program]), { env: { ...TCP, TMPDIR: folder }, started });
    return { exit, all };
  };
}

function ranksOn(hosts: Hosts, host: number): { pid: number; command: string }[] {
  return hosts.processes(host).filter(({ command }) => command.startsWith(`${process.execPath} ${COMMAND}`));
}

function allRanks(hosts: Hosts): { pid: number; command: string }[] {
  return hosts.names.flatMap((_, host) => ranksOn(hosts, host));
}

function killAll(hosts: Hosts): void {
  for (const host of hosts.names.keys()) kill(hosts.processes(host));
}

function kill(processes: readonly { pid: number }[]): void {
  for (const { pid } of processes) attempt(() => process.kill(pid, 'SIGKILL'), false);
}

function describe({ code, signal, stdout, stderr }: Ended): string {
  return `exit code ${code ?? signal}\n${stdout}${stderr}`;
}
