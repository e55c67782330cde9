import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { ROOT } from './paths.js';

/** The Python of the other side. */
export const PYTHON = process.env.PEER_PYTHON ?? 'python3';
/** What is missing there, by module; null where it is there. */
const missing = new Map<string, string | null>();

/** A test against another program's own code: skipped, with the reason in its title, where Python has not that module. */
export function peerTest(module: string, title: string, body: (t: ExecutionContext) => Promise<void>): void {
  if (!missing.has(module)) {
    const { status, stderr, error } = spawnSync(PYTHON, ['-c', `import ${module}`], { encoding: 'utf8' });
    missing.set(module, status === 0 ? null : (error?.message ?? stderr.trim().split('\n').at(-1) ?? ''));
  }
  const reason = missing.get(module);
  if (reason === null) test.serial(title, body);
  else test.skip(`${title} (${PYTHON}: ${reason})`, body);
}

/** Runs a script of test/peers; gives what it prints. */
export async function runPeer(script: string, ...args: readonly string[]): Promise<string> {
  const path = join(ROOT, 'test', 'peers', script);
  const { stdout } = await promisify(execFile)(PYTHON, [path, ...args], { maxBuffer: 2 ** 24 });
  return stdout;
}
