import test from 'ava';
import sharp from 'sharp';
import { Waiting } from '../../core/run/waiting.js';

/** What is said in a run whose steps take a second, of which so much is waiting, for images of so many pixels a side. */
async function saidWhen(
  waitSeconds: number,
  steps: number,
  side = 300,
  format: 'png' | 'svg' = 'png',
): Promise<string[]> {
  const said: string[] = [];
  const options = { data: ['my photos', 'more'], imageSize: 224, maxMegapixels: 1 };
  const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}"/>`);
  const image = format === 'svg' ? svg : await sharp(svg).png().toBuffer();
  const source = async (index: number) => (index === 0 ? Buffer.from('damaged') : image);
  const place = format === 'svg' ? {} : { place: 'a.png' };
  const images = {
    length: 2,
    item: (index: number) => ({ name: String(index), source: () => source(index), ...place }),
  };
  const waiting = new Waiting(images, options, (text) => said.push(text));
  for (let step = 0; step < steps; step++) {
    waiting.add(step === 0 ? 30 : waitSeconds, 1);
    await waiting.advise();
  }
  return said;
}

test('a run that waits for images more than a twentieth of its time says so once, with the command that helps', async (t) => {
  t.deepEqual(await saidWhen(0.2, 100), [
    '20% of the time (1.0 of 5.0 s) went by waiting for images; smaller copies are read faster: ' +
      "npx ijepa data pack 'my photos' more --resize 256 --out DIR",
  ]);
  t.deepEqual(await saidWhen(0.04, 100), [], 'what is waited for the first images does not count');
  t.deepEqual(await saidWhen(0.5, 2), [], 'a moment is not worth a word');
  t.deepEqual(await saidWhen(0.2, 100, 256), [], 'smaller copies of small images help nobody');
  t.deepEqual(await saidWhen(0.2, 100, 300, 'svg'), [], 'what is drawn for the run has no files to be copied');
});
