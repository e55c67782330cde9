import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { createConsole } from '../base/console.js';
import { explainWriteError, UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { listOf } from '../base/list-of.js';
import { PROGRAM } from '../base/program.js';
import { readText, tryJson } from '../base/text.js';
import { downloadFile } from '../fetch/download.js';
import { persist, readDelivery, request } from '../fetch/request.js';
import { CONFIG, PROCESSOR } from './model-folder.js';

/** Begins an address of the hub. */
const PREFIX = 'hf:';
const ADDRESS = /^hf:(?<model>\w[\w.-]*\/\w[\w.-]*)(?:@(?<revision>\w[\w.-]*))?$/;
/** What is fetched of a model; nothing else of it is. */
const WANTED = [
  new RegExp(`^(?:${CONFIG}|${PROCESSOR})$`),
  /^model(?:-\d{5}-of-\d{5})?\.safetensors(?:\.index\.json)?$/,
];
/** What the hub said of a revision, beside its files. */
const LISTING = 'listing.json';
const LONGEST = 1 << 22;

const listingSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: listOf(
    z.object({
      rfilename: z.string(),
      size: z.int().min(0),
      /** Git's hash of the content, or of what stands for it. */
      blobId: z.string(),
      lfs: z.object({ sha256: z.string() }).optional(),
    }),
  ),
});
type Listing = z.infer<typeof listingSchema>;

/** Whether a word names a model of the hub. */
export function isHubAddress(word: string): boolean {
  return word.startsWith(PREFIX);
}

/**
 * The folder of a model of Hugging Face's hub, which is downloaded into the user's cache where it is not there: hf:OWNER/NAME,
 * or hf:OWNER/NAME@REVISION. Every file is held against its checksum. Where the hub cannot be reached, what was fetched before
 * is taken. HF_ENDPOINT names another hub.
 * @throws UserError if there is no such model, it has no weights as safetensors, or it cannot be fetched or written
 */
export async function fetchModel(address: string): Promise<string> {
  const { model = '', revision = 'main' } = ADDRESS.exec(address)?.groups ?? {};
  if (model === '') {
    throw new UserError(`${address} is not the address of a model`, {
      expected: 'hf:OWNER/NAME, or hf:OWNER/NAME@REVISION',
    });
  }
  const hub = (process.env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/$/, '');
  const place = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), PROGRAM, 'models', ...model.split('/'));
  const listing = await listingOf(`${hub}/api/models/${model}/revision/${revision}?blobs=true`, place, revision);
  const files = listing.siblings.filter(({ rfilename }) => WANTED.some((wanted) => wanted.test(rfilename)));
  if (!files.some(({ rfilename }) => rfilename.includes('.safetensors'))) {
    throw new UserError(`${address} has no weights as safetensors`, {
      expected: `model.safetensors and ${CONFIG}`,
      remedy: 'fetch a file of PyTorch yourself, and name that',
    });
  }
  const folder = join(place, listing.sha);
  await makeFolders(folder).catch((error: unknown) => {
    throw explainWriteError(error, folder);
  });
  for (const { rfilename: name, size, blobId, lfs } of files) {
    const path = join(folder, name);
    if (existsSync(path)) continue; // it has its name since its checksum was right
    const progress = createConsole(true).transfer(`fetched ${name} of ${model}:`, 'bytes');
    const url = `${hub}/${model}/resolve/${listing.sha}/${name}`;
    const checksum = lfs && ({ algorithm: 'sha256', hex: lfs.sha256 } as const);
    const onProgress = (bytes: number, total: number | null) => progress.update(bytes, total ?? size);
    await downloadFile({ url, bytes: size, checksum }, path, { onProgress }).finally(progress.stop);
    if (!lfs) await requireBlob(path, blobId);
  }
  return folder;
}

/** What the hub says of a revision now, or said before where it cannot be reached. */
async function listingOf(url: string, place: string, revision: string): Promise<Listing> {
  const kept = join(place, `${revision}-${LISTING}`);
  try {
    const listing = await persist(
      url,
      { tries: 3 },
      () =>
        request(url, null, {}, async (response, chunks) => {
          readDelivery(response, url, 'check the name of the model; those that ask for an agreement cannot be fetched');
          return listingSchema.safeParse(tryJson(await text(chunks)));
        }),
      () => ({ remedy: 'check the network, or fetch the folder of the model yourself and name it' }),
    );
    if (!listing.success) throw new UserError(`${url} does not answer as a hub of models does`);
    await makeFolders(place);
    await writeFileAtomically(kept, JSON.stringify(listing.data));
    return listing.data;
  } catch (error) {
    const before = existsSync(kept) ? listingSchema.safeParse(tryJson(await readText(kept, LONGEST))) : null;
    if (before?.success) return before.data;
    throw explainWriteError(error, place);
  }
}

/** Holds a small file against git's hash of it; large ones have a checksum of their own. */
async function requireBlob(path: string, blobId: string): Promise<void> {
  const content = await readFile(path);
  const hash = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  if (hash === blobId) return;
  await rm(path, { force: true });
  throw new UserError(`${path} arrived damaged: its hash is ${hash}, not ${blobId}`, { remedy: 'try again' });
}
