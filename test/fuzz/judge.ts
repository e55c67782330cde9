import assert from 'node:assert';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../core/base/errors.js';
import { PluginError } from '../../core/plugin.js';
import type { FuzzedReader } from './reader.js';

/** What a reader may make of an input. */
export type Verdict = 'returned' | 'refused';

/** Bounds of one case: generous, against what grows without one. Inputs have up to 128 KiB. */
const MOST_CPU_SECONDS = 5;
const MOST_NEW_BYTES = 256 * 2 ** 20;
const LONGEST_REPORT = 16_000;

/**
 * Has a reader read an input.
 * @throws what went wrong, if it did anything but return or refuse within bounds
 */
export async function judge(reader: FuzzedReader, folder: string, input: Uint8Array): Promise<Verdict> {
  const path = join(folder, reader.file);
  await writeFile(path, input);
  const bytes = process.memoryUsage().arrayBuffers;
  const cpu = process.cpuUsage();
  const verdict = await outcome(reader, path);
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (user + system) / 1e6;
  assert(seconds <= MOST_CPU_SECONDS, `it took ${seconds.toFixed(1)} s of CPU time`);
  const more = process.memoryUsage().arrayBuffers - bytes;
  assert(more <= MOST_NEW_BYTES, `it set ${more} bytes aside`);
  assert(!('polluted' in {}), 'what all objects inherit from has changed');
  return verdict;
}

async function outcome(reader: FuzzedReader, path: string): Promise<Verdict> {
  try {
    await reader.read(path);
    return 'returned';
  } catch (error) {
    if (reader.isRefusal) {
      if (!reader.isRefusal(error)) throw error;
    } else {
      if (!(error instanceof UserError || error instanceof PluginError)) throw error;
      checkReport(new UserError(error.message, error.advice).report);
    }
    return 'refused';
  }
}

/** A message is for a terminal: a few lines, and nothing in them but text. */
function checkReport(report: string): void {
  assert(report.length <= LONGEST_REPORT, `its message has ${report.length} characters`);
  assert(!/[^\P{Cc}\n]/u.test(report), `its message holds control characters: ${JSON.stringify(report)}`);
}
