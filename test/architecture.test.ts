import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import test from 'ava';
import { startProgram } from './helpers/command.js';
import { COMMAND, ROOT } from './helpers/paths.js';

/** A source file with what it imports: paths from the repository's root for its own files, names for packages. */
interface Source {
  path: string;
  text: string;
  lines: number;
  /** Imported when the file is, types left out. */
  imports: string[];
  /** All imports, those of types and those on demand too. */
  mentions: string[];
}

const FOLDERS = ['bin', 'commands', 'core', 'plugins', 'test', 'weights'];
const SOURCES = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readSource(join(folder, name))),
);

function readSource(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const locate = (name: string) =>
    name.startsWith('.') ? relative(ROOT, resolve(ROOT, path, '..', name)).replace(/\.js$/, '.ts') : name;
  const find = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => locate(match[1] as string));
  return {
    path,
    text,
    lines: text.split('\n').length,
    imports: find(/^(?:import|export)\s(?!type\b)[^;]*?from\s+'([^']+)'/gm),
    mentions: find(/(?:from\s+|import\(|import\s+|require\()'([^']+)'/g),
  };
}

/** Every file that is loaded with the given one. */
function loadedWith(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const name of SOURCES.find((source) => source.path === path)?.imports ?? []) loadedWith(name, seen);
  return seen;
}

const isIn = (path: string, folder: string) => path.startsWith(`${folder}/`);

/** From low to high: a file imports from its own floor and from those below. */
const FLOORS = [
  'core/base',
  'core/wasm',
  'core/fetch',
  'core/engine',
  'core/nn',
  'core/optim',
  'core/contract',
  'core/config',
  'core/data',
  'core/methods',
  'core/plugins',
  'core/train',
  'core/checkpoint',
  'core/exchange',
  'core/eval',
  'core/report',
  'core/run',
  'core/check',
  'core/plugin.ts',
  'plugins',
  'core/index.ts',
  'commands',
  'bin',
  'weights',
  'test',
];
const ROOMS = FLOORS.filter((floor) => floor.startsWith('core/') && !floor.endsWith('.ts'));

/** Number of the floor on which a file lies; -1 for a package. */
function floorOf(path: string): number {
  return FLOORS.findIndex((floor) => path === floor || isIn(path, floor));
}

test('every import goes down the floors or stays on one, those of types too', (t) => {
  t.deepEqual(
    SOURCES.filter(({ path }) => floorOf(path) < 0).map(({ path }) => path),
    [],
    'files that are on no floor',
  );
  const upward = SOURCES.flatMap(({ path, mentions }) =>
    mentions.filter((name) => floorOf(name) > floorOf(path)).map((name) => `${path} imports ${name}`),
  );
  t.deepEqual(upward, []);
});

test('a plugin uses core/plugin.ts alone, and the command line the program alone', (t) => {
  for (const { path, mentions } of SOURCES) {
    for (const name of mentions.filter((name) => floorOf(name) >= 0)) {
      const complaint = `${path} imports ${name}`;
      if (isIn(path, 'plugins')) t.true(isIn(name, 'plugins') || name === 'core/plugin.ts', complaint);
      if (isIn(path, 'bin')) t.true(isIn(name, 'commands'), complaint);
      if (name === 'core/index.ts') t.true(isIn(path, 'test'), complaint);
    }
  }
});

test('no file imports itself by way of others, not even for types', (t) => {
  const circle = findCircle(new Map(SOURCES.map(({ path, mentions }) => [path, mentions])));
  t.deepEqual(circle, []);
});

/** Files each of which imports the next one, and the last the first; none where there are no such files. */
function findCircle(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): string[] => {
    if (way.includes(path)) return way.slice(way.indexOf(path));
    if (done.has(path)) return [];
    for (const next of imports.get(path) ?? []) {
      const circle = visit(next, [...way, path]);
      if (circle.length > 0) return circle;
    }
    done.add(path);
    return [];
  };
  for (const path of imports.keys()) {
    const circle = visit(path, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

test('what trains, stores and reports knows no method by name', (t) => {
  const rooms = ['data', 'train', 'optim', 'run', 'checkpoint', 'report', 'config'].map((room) => `core/${room}`);
  const found = SOURCES.filter(({ path, text }) => rooms.some((room) => isIn(path, room)) && /jepa/i.test(text));
  t.deepEqual(
    found.map(({ path }) => path),
    [],
  );
});

test('a test of a room lies in the test folder of the same name', (t) => {
  const tests = SOURCES.filter(({ path }) => path.endsWith('.test.ts') && path.split('/').length > 2);
  for (const { path, mentions } of tests) {
    const room = path.split('/')[1] as string;
    if (['browser', 'commands', 'plugins', 'peers'].includes(room)) continue;
    t.true(ROOMS.includes(`core/${room}`), `${path}: there is no core/${room}`);
    t.true(
      mentions.some((name) => isIn(name, `core/${room}`)),
      `${path} uses nothing of core/${room}`,
    );
  }
});

test('only core/engine knows engines', (t) => {
  for (const { path, mentions } of SOURCES) {
    if (isIn(path, 'core/engine')) continue;
    t.deepEqual(
      mentions.filter((name) => name.startsWith('@tensorflow/')),
      [],
      path,
    );
  }
});

test('what computes reads no files', (t) => {
  const numeric = ['core/engine', 'core/nn', 'core/optim', 'core/methods'];
  for (const { path, mentions } of SOURCES) {
    if (!numeric.some((room) => isIn(path, room))) continue;
    if (isIn(path, 'core/engine/install')) continue; // what installs an engine and looks for it
    t.false(mentions.includes('node:fs'), path);
  }
});

test('help loads no tensor library, no image library and nothing that validates', async (t) => {
  const loaded = loadedWith('commands/program.ts');
  t.true(loaded.has('core/config/schema.ts'));
  const libraries = ['sharp', 'zod', 'd3-scale', 'yaml'];
  t.deepEqual(
    [...loaded].filter((name) => libraries.includes(name)),
    [],
  );
  // The tensor library is loaded when it is first used.
  const spy = `process.on('exit', () => console.log(Object.keys(require.cache).join('\\n')))`;
  const { code, stdout } = await startProgram([
    process.execPath,
    '--import',
    `data:text/javascript,import { createRequire } from 'node:module'; const require = createRequire('${COMMAND}'); ${encodeURIComponent(spy)}`,
    COMMAND,
    'pretrain',
    '--help',
  ]);
  t.is(code, 0);
  t.regex(stdout, /commander/);
  t.notRegex(stdout, /tfjs\.cjs|sharp/);
});

test('source files are of a size that can be read at once', (t) => {
  // Long for a reason: the schema is one list of all options.
  const reasons = ['core/config/schema.ts', 'test/'];
  const long = SOURCES.filter(({ path, lines }) => lines > 250 && !reasons.some((start) => path.startsWith(start)));
  t.deepEqual(
    long.map(({ path, lines }) => `${path} has ${lines} lines`),
    [],
  );
});

/** What people read, from the repository's root. */
const READMES = [
  ...['README.md', 'CONTRIBUTING.md'],
  ...['core', 'plugins', 'test', 'fixtures', 'weights'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => basename(name) === 'README.md')
      .map((name) => join(folder, name)),
  ),
];

test('READMEs have no gaps, and what they link to and show is there', (t) => {
  for (const readme of READMES) {
    const text = readFileSync(join(ROOT, readme), 'utf8');
    t.notRegex(text, /@[A-Z]+@|TODO|TBD/, readme);
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? join(ROOT, readme) : join(ROOT, readme, '..', path);
      t.true(existsSync(target), `${readme} links to ${link}`);
      if (anchor) t.true(anchorsOf(target).includes(anchor), `${readme} links to ${link}`);
    }
  }
});

/** The names by which headings can be linked to: lower case, without punctuation, hyphens for spaces. */
function anchorsOf(path: string): string[] {
  const headings = readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
