import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Browser, chromium, type Page } from 'playwright-core';
import { thisProcess } from '../../core/base/lock.js';
import { writeResults } from '../../core/eval/results.js';
import { METHODS } from '../../core/methods/registry.js';
import { reportPage } from '../../core/report/page.js';
import { livePage } from '../../core/run/live-page.js';
import { openRuns } from '../../core/run/report-facts.js';
import { startWatchServer } from '../../core/run/watch-server.js';
import { ijepaHere, SMALLEST_OF, temporaryFolder } from '../helpers/command.js';
import { evaluationResult } from '../helpers/evaluation.js';
import { factsIn } from '../helpers/report.js';
import { POOR_CONTRASTS } from './contrast.js';

/*
 * Pages in a real browser: the Chromium of the system; nothing is downloaded.
 */
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const isThere = existsSync(CHROMIUM);

/** Declares a test; where there is no browser, it is skipped and its title says why. */
function run(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  if (isThere) test.serial(title, body);
  else test.skip(`${title} (skipped: there is no ${CHROMIUM}; CHROMIUM names another one)`, (t) => t.fail());
}

let browser: Browser | undefined;
test.before(async () => {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  if (isThere) browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
test.after.always(() => browser?.close());

interface Opened {
  page: Page;
  /** Everything that was asked for but the page itself. */
  requests: string[];
  /** What the page complained of. */
  errors: string[];
}

type How = { width?: number; scheme?: 'light' | 'dark' };

async function open(t: ExecutionContext, url: string, { width = 1200, scheme = 'light' }: How = {}): Promise<Opened> {
  const page = await (browser as Browser).newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
  t.teardown(() => page.close());
  const [requests, errors]: [string[], string[]] = [[], []];
  page.on('request', (request) => {
    if (request.url() !== url && !request.url().startsWith('data:')) requests.push(request.url());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(url);
  await page.waitForSelector('footer');
  return { page, requests, errors };
}

/** A page about two runs, the first of which has an encoder of two blocks and an evaluation. */
async function writeReport(t: ExecutionContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const deep = SMALLEST_OF.ijepa.map((word, at, all) => (all[at - 1] === '--depth' ? '2' : word));
  const train = async (words: readonly string[]) => {
    const { code, stderr } = await ijepaHere(words, folder);
    t.is(code, 0, stderr);
  };
  await train(['pretrain', ...deep, '--epochs', '2', '--out', 'one']);
  await train(['pretrain', ...SMALLEST_OF.dino, '--epochs', '1', '--out', 'two']);
  const checkpoint = join(folder, 'one', 'checkpoints', 'latest.safetensors');
  await writeResults(join(folder, 'one', 'results.json'), [
    evaluationResult({
      dataSet: 'shapes',
      network: { checkpoint },
      compute: { deviceHours: 0.02, trainingFlops: 3e12 },
      confusion: {
        classes: ['circle', 'square'],
        counts: [
          [7, 3],
          [1, 9],
        ],
      },
      geometry: { images: 512, rankMe: 6.84, rankMeCentred: 40, alphaReq: 1.957, lidar: null },
      fewLabels: [{ count: { shots: 2 }, images: 20, top1: { ...DRAWS, value: 31.25, deviation: 2.5 } }],
    }),
    evaluationResult({ dataSet: 'shapes', network: { weights: 'random' } }),
  ]);
  await train(['report', 'one', 'two', '--out', 'page.html', '--pictures', '6', '--engine', 'wasm']);
  return pathToFileURL(join(folder, 'page.html')).href;
}

/** Of two draws. */
const DRAWS = { low: 25, high: 38, values: [28.75, 33.75] };

const reading = (page: Page) => page.locator('[data-column=loss] .reading').textContent();

run('a report is read, zoomed and searched by mouse and keyboard, and asks for nothing', async (t) => {
  const { page, requests, errors } = await open(t, await writeReport(t));
  t.is(await page.title(), 'one, two');
  const loss = page.locator('[data-column=loss]');
  t.is(await loss.locator('canvas').count(), 1);
  t.regex((await reading(page)) ?? '', /^step 12: one [\d.]+, two [\d.]+$/);
  const reset = page.locator('#all-steps');
  t.true(await reset.isDisabled());

  // By mouse: a drag zooms, a double click shows all.
  await loss.scrollIntoViewIfNeeded();
  const box = await loss.locator('.u-over').boundingBox();
  if (!box) return t.fail('no chart');
  const at = (part: number) => [box.x + part * box.width, box.y + box.height / 2] as const;
  await page.mouse.move(...at(0.2));
  await page.mouse.down();
  await page.mouse.move(...at(0.6), { steps: 5 });
  await page.mouse.up();
  t.false(await reset.isDisabled());
  await page.mouse.dblclick(...at(0.5));
  t.true(await reset.isDisabled());

  // By keyboard: the cursor moves, plus zooms, 0 shows all.
  await loss.locator('.plot').focus();
  await page.keyboard.press('Home');
  t.regex((await reading(page)) ?? '', /^step 1: /);
  await page.keyboard.press('ArrowRight');
  t.regex((await reading(page)) ?? '', /^step 2: /);
  await page.keyboard.press('+');
  t.false(await reset.isDisabled());
  await page.keyboard.press('End');
  t.regex((await reading(page)) ?? '', /^step 12: /, 'the chart follows to steps that it did not show');
  await page.keyboard.press('0');
  t.true(await reset.isDisabled());

  // Curves are smoothed by keyboard; what was logged stays behind them, faintly.
  const drawn = () => page.evaluate("document.querySelector('[data-column=loss] canvas').toDataURL()");
  const [plain, logged] = [await drawn(), await reading(page)];
  const slider = page.getByRole('slider', { name: 'Smoothing' });
  t.is(await slider.getAttribute('aria-valuetext'), 'off');
  await slider.focus();
  await page.keyboard.press('End');
  t.is(await slider.getAttribute('aria-valuetext'), '0.99');
  t.regex((await reading(page)) ?? '', /^step 12: one [\d.]+ \(logged [\d.]+\), two [\d.]+ \(logged [\d.]+\)$/);
  t.deepEqual(
    (await reading(page))?.match(/logged [\d.]+/g)?.map((word) => word.slice(7)),
    logged?.match(/\d+\.\d+/g),
  );
  const strong = await drawn();
  await page.keyboard.press('ArrowLeft');
  t.is(await slider.getAttribute('aria-valuetext'), '0.98');
  const weaker = await drawn();
  await page.keyboard.press('Home');
  t.is(new Set([plain, strong, weaker]).size, 3);
  t.is(await reading(page), logged);

  // A run is hidden, an axis is made logarithmic, the numbers are behind it.
  await page.locator('#curves').getByLabel('two').uncheck();
  t.regex((await reading(page)) ?? '', /^step 12: one [\d.]+$/);
  await loss.getByLabel('logarithmic').check();
  await loss.getByText('Numbers').click();
  await loss.locator('tbody tr').first().waitFor();
  t.is(await loss.locator('tbody tr').count(), 12);

  // Evaluations have intervals, classes and compute.
  const results = page.locator('#results');
  const measures = results.locator('.result', { hasText: 'what else was measured' });
  t.deepEqual(await measures.locator('tbody tr td').allTextContents(), [
    'ViT-S/16',
    '100',
    '31.3 ± 2.525.0–38.0',
    '6.8',
    '40.0',
    '1.96',
  ]);
  await results.locator('.confusion tbody tr').first().waitFor();
  t.is(await results.locator('.confusion tbody tr').count(), 2);
  t.true(await results.getByText('70.0').isVisible());
  await results.getByLabel('floating-point operations').check();
  t.is(await results.locator('circle').count(), 1);

  // A patch is chosen by mouse, then by keyboard; a picture by its neighbours.
  const said = page.locator('#pictures [role=status]');
  const tiles = page.locator('.tile canvas');
  t.is(await tiles.count(), 6);
  await tiles.nth(2).click({ position: { x: 5, y: 5 } });
  t.true(await page.getByLabel('likeness to the chosen patch').isChecked());
  t.regex((await said.textContent()) ?? '', /^Chosen: row 1, column 1 of /);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  t.regex((await said.textContent()) ?? '', /^Chosen: row 2, column 4 of /);
  const before = await said.textContent();
  await page.locator('.card').first().focus();
  await page.keyboard.press('Enter');
  t.not(await said.textContent(), before);
  t.is(await page.evaluate('document.activeElement.tagName'), 'CANVAS', 'the focus goes with it');
  const pixels = () => page.evaluate("document.querySelector('.tile canvas').toDataURL()");
  const likeness = await pixels();
  await page.getByLabel('attention', { exact: true }).check();
  const attention = await pixels();
  await page.getByLabel('picture alone').check();
  t.is(new Set([likeness, attention, await pixels()]).size, 3, 'each view draws something else');
  await page.locator('#pictures').getByLabel('two', { exact: true }).check();
  t.is(await page.locator('.tile canvas').count(), 6);

  t.deepEqual([requests, errors], [[], []]);
});

run('a page is dark where the system is, or where it is asked to be, and fits a narrow window', async (t) => {
  const { page, errors } = await open(t, await writeReport(t), { width: 400, scheme: 'dark' });
  const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
  const [dark, light] = ['rgb(20, 22, 27)', 'rgb(255, 255, 255)'];
  t.is(await ground(), dark);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByRole('button', { name: 'Dark colours' }).waitFor();
  t.is(await ground(), light);
  t.deepEqual(await page.evaluate(POOR_CONTRASTS), []);
  await page.getByRole('button', { name: 'Dark colours' }).press('Enter');
  t.is(await ground(), dark);
  t.deepEqual(await page.evaluate(POOR_CONTRASTS), []);
  t.is(await page.evaluate('document.documentElement.scrollWidth'), 400);
  // Everything that can be worked with has a name, and shows where the focus is.
  const nameless = `[...document.querySelectorAll('button, input, [tabindex="0"]')]
    .filter((one) => !one.ariaLabel && !one.textContent && !one.closest('label')).map((one) => one.outerHTML)`;
  t.deepEqual(await page.evaluate(nameless), []);
  await page.locator('[data-column=loss] .plot').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Shift+Tab');
  t.is(await page.evaluate('document.activeElement.className'), 'plot');
  t.is(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'solid');
  t.deepEqual(errors, []);
});

run('pictures of an encoder without patches are chosen by mouse and keyboard, too', async (t) => {
  const path = fileURLToPath(await writeReport(t));
  const facts = factsIn(await readFile(path, 'utf8'));
  const [{ pictures, ...first }] = facts.runs;
  const runs = [{ ...first, pictures: pictures && { ...pictures, patches: null } }];
  await writeFile(path, reportPage({ ...facts, runs }));
  const { page, errors } = await open(t, pathToFileURL(path).href);
  const said = page.locator('#pictures [role=status]');
  await page.locator('.tile canvas').nth(1).click();
  const second = await said.textContent();
  t.regex(second ?? '', /^Chosen: shapes.\d+\.$/);
  await page.locator('.tile canvas').nth(2).focus();
  await page.keyboard.press('Enter');
  t.not(await said.textContent(), second);
  t.is(await page.locator('.card').count(), 5);
  t.is(await page.locator('#pictures input').count(), 0, 'there is one view alone');
  t.deepEqual(errors, []);
});

run(
  'a served page follows the run, says when it was killed and when the server ends, and asks nobody else',
  async (t) => {
    const folder = join(await temporaryFolder(t), 'run');
    const trained = await ijepaHere(['pretrain', ...SMALLEST_OF.ijepa, '--epochs', '2', '--out', folder]);
    t.is(trained.code, 0, trained.stderr);
    const log = join(folder, 'log.jsonl');
    const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
    const state = { format: 'ijepa-run-state-1', state: 'running', reason: null, savedStep: 0 };
    await writeFile(log, '');
    await writeFile(join(folder, 'state.json'), JSON.stringify(state));
    await writeFile(join(folder, 'run.lock'), JSON.stringify(thisProcess('abc')));
    const [shown] = await openRuns([folder], async () => METHODS);
    const served = livePage(shown, [], { pictures: null, picturesNote: 'none' }, t.fail);
    const server = await startWatchServer(0, served, t.fail);
    t.teardown(server.close);
    const url = `http://127.0.0.1:${server.port}/`;
    const { page, requests, errors } = await open(t, url);
    await page.getByText('No step is logged yet.').waitFor();
    const append = (from: number, to: number) => appendFile(log, `${lines.slice(from, to).join('\n')}\n`);
    await append(0, 3);
    await page
      .getByText(/^step 3: /)
      .first()
      .waitFor();
    await page.getByText('Live: the run goes on').waitFor();
    await page.locator('[data-column=loss] .plot').focus();
    await append(3, 4);
    await page
      .getByText(/^step 4: /)
      .first()
      .waitFor();
    t.is(await page.evaluate('document.activeElement.className'), 'plot', 'the focus stays');
    await writeFile(join(folder, 'run.lock'), JSON.stringify({ ...thisProcess('abc'), pid: 2 ** 30 }));
    await page.getByText('The run was interrupted: killed.').waitFor();
    t.deepEqual([...new Set(requests)], [`${url}data.json`]);
    t.deepEqual(errors, []);
    await server.close();
    await page.getByText('The server does not answer').waitFor();
  },
);

run('a page of a network alone has its pictures, and no parts that only a run fills', async (t) => {
  const folder = await temporaryFolder(t);
  const asked = ['report', 'builtin:drawings', '--data', 'shapes:8', '--pictures', '4', '--engine', 'wasm'];
  const { code, stderr } = await ijepaHere([...asked, '--out', 'page.html'], folder);
  t.is(code, 0, stderr);
  const { page, requests, errors } = await open(t, pathToFileURL(join(folder, 'page.html')).href);
  t.deepEqual(await page.locator('nav a').allTextContents(), ['Network', 'What the encoder sees']);
  t.true((await page.locator('#pictures canvas, #pictures img').count()) >= 4);
  t.is(await page.locator('.verdict').count(), 0);
  t.deepEqual([requests, errors], [[], []]);
});
