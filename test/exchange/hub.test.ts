import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { startEngine } from '../../core/engine/start.js';
import { fetchModel } from '../../core/exchange/hub.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { temporaryFolder } from '../helpers/command.js';
import { smallCheckpoint } from '../helpers/features.js';

test.before(async () => {
  await startEngine('wasm');
});

const REVISION = 'a'.repeat(40);

test.serial('a model of the hub is fetched once, held against its checksums, and read like a folder', async (t) => {
  const hub = await fakeHub(t);
  const { facts, size } = await readEncoder('hf:someone/small', null);
  t.is(facts.method, 'I-JEPA');
  t.is(size.encoder.dim, 16);
  const folder = join(hub.cache, 'ijepa', 'models', 'someone', 'small', REVISION);
  t.deepEqual((await readdir(folder)).sort(), ['config.json', 'model.safetensors', 'preprocessor_config.json']);
  const asked = hub.asked.length;
  await readEncoder('hf:someone/small@main', null);
  t.is(hub.asked.length, asked + 1); // which files there are, alone
  hub.isGone = true;
  t.is(await fetchModel('hf:someone/small'), folder);
});

test.serial('what arrives damaged is not kept', async (t) => {
  const hub = await fakeHub(t);
  hub.files.get('config.json')?.write('[');
  await t.throwsAsync(fetchModel('hf:someone/small'), {
    instanceOf: UserError,
    message: /config\.json arrived damaged/,
  });
  t.false(existsSync(join(hub.cache, 'ijepa', 'models', 'someone', 'small', REVISION, 'config.json')));
});

test.serial('what is no model there is said in one message', async (t) => {
  const hub = await fakeHub(t);
  const cases: [address: string, message: RegExp][] = [
    ['hf:someone', /is not the address of a model/],
    ['hf:../etc', /is not the address of a model/],
    ['hf:a/b@../c', /is not the address of a model/],
    ['hf:someone/other', /answers 404/],
    ['hf:someone/torch', /has no weights as safetensors/],
  ];
  for (const [address, message] of cases) {
    await t.throwsAsync(fetchModel(address), { instanceOf: UserError, message }, address);
  }
  hub.isGone = true;
  await t.throwsAsync(fetchModel('hf:someone/new'), { instanceOf: UserError, message: /cannot be fetched/ });
});

/** A hub with one model, and one that has no safetensors; and a cache of its own. */
async function fakeHub(t: ExecutionContext) {
  const cache = await temporaryFolder(t);
  const folder = await temporaryFolder(t);
  await FORMS.hf.write(await readEncoder(await smallCheckpoint(t), null), folder);
  const files = new Map<string, Buffer>();
  for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name)));
  const siblings = [...files].map(([rfilename, content]) => ({
    rfilename,
    size: content.length,
    blobId: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
    ...(rfilename === 'model.safetensors' && {
      lfs: { sha256: createHash('sha256').update(content).digest('hex') },
    }),
  }));
  const torch = [{ rfilename: 'pytorch_model.bin', size: 1, blobId: '' }];
  const state = { cache, files, asked: [] as string[], isGone: false };
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    state.asked.push(path);
    if (state.isGone) return void request.destroy();
    const [, model = ''] = /^\/api\/models\/someone\/(\w+)\/revision\/main$/.exec(path) ?? [];
    const listing = { small: siblings, torch }[model];
    const content = files.get(path.replace(`/someone/small/resolve/${REVISION}/`, ''));
    if (listing) response.end(JSON.stringify({ sha: REVISION, siblings: listing }));
    else response.writeHead(content ? 200 : 404).end(content);
  }).listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const before = { ...process.env };
  process.env.HF_ENDPOINT = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env.XDG_CACHE_HOME = cache;
  t.teardown(() => {
    process.env = before;
    server.close();
  });
  return state;
}
