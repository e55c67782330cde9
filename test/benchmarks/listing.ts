import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openFolders } from '../../core/data/folder.js';

/*
 * Times listing as many images as ImageNet-1K has: makes empty files in a new folder, lists them twice in processes of
 * their own, the second time with the listing that the first one kept, prints one JSON document and removes the files.
 * npm run bench:listing -- FOLDER --folders 1000 --files 1300
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folders: { type: 'string', default: '1000' },
    files: { type: 'string', default: '1300' },
    known: { type: 'string' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('name a folder that does not exist yet');
if (values.known !== undefined) await listOnce(folder, values.known);
else await compare(folder);

async function compare(root: string): Promise<void> {
  mkdirSync(root);
  try {
    for (let number = 0; number < Number(values.folders); number++) {
      const place = join(root, `n${String(10_000_000 + number)}`);
      mkdirSync(place);
      for (let file = 0; file < Number(values.files); file++) {
        closeSync(openSync(join(place, `n${10_000_000 + number}_${file}.JPEG`), 'w'));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 3000)); // listings are believed of folders that have settled
    const known = `${root}.listing`;
    const list = () =>
      JSON.parse(
        execFileSync(process.execPath, [fileURLToPath(import.meta.url), root, '--known', known], { encoding: 'utf8' }),
      );
    process.stdout.write(`${JSON.stringify({ first: list(), again: list() }, null, 2)}\n`);
    rmSync(known);
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function listOnce(root: string, known: string): Promise<void> {
  const memoryBefore = process.memoryUsage().rss;
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const images = await openFolders([root], { known });
  const seconds = (performance.now() - started) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  globalThis.gc?.();
  const result = {
    images: images.length,
    seconds: Number(seconds.toFixed(2)),
    cpuSeconds: Number(((cpu.user + cpu.system) / 1e6).toFixed(2)),
    addedMemoryMiB: Math.round((process.memoryUsage().rss - memoryBefore) / 2 ** 20),
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    fingerprint: images.fingerprint,
  };
  await images.keepListing(known);
  process.stdout.write(JSON.stringify(result));
}
