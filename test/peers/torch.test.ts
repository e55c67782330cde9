import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { temporaryFolder } from '../helpers/command.js';
import { peerTest, runPeer } from '../helpers/peer.js';

for (const form of ['zip', 'legacy']) {
  peerTest('torch', `a checkpoint of the reference code in the ${form} form comes in and goes out whole`, async (t) => {
    const folder = await temporaryFolder(t);
    const [theirs, ours, back] = ['theirs.pth.tar', 'ours', 'back'].map((name) => join(folder, name));
    await runPeer('torch_files.py', 'save', form, theirs);
    await mkdir(ours);
    await FORMS.checkpoint.write(await readEncoder(theirs, null), ours);
    await mkdir(back);
    await FORMS.pth.write(await readEncoder(join(ours, 'checkpoint.safetensors'), null), back);
    t.is(await runPeer('torch_files.py', 'same', theirs, join(back, 'checkpoint.pth.tar')), '90 tensors equal\n');
  });
}
