import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import test from 'ava';
import { ROOT } from './helpers/paths.js';

/** A source file with what it imports: paths from the repository's root for its own files, names for packages. */
interface Source {
  path: string;
  lines: number;
  /** Imported when the file is, types left out. */
  imports: string[];
  /** All imports, those of types and those on demand too. */
  mentions: string[];
}

const FOLDERS = ['bin', 'commands', 'core', 'plugins', 'test'];
const SOURCES = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readSource(join(folder, name))),
);

function readSource(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const place = (name: string) =>
    name.startsWith('.') ? relative(ROOT, resolve(ROOT, path, '..', name)).replace(/\.js$/, '.ts') : name;
  const find = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => place(match[1] as string));
  return {
    path,
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

test('imports go one way: bin, commands, core; plugins know the contract alone', (t) => {
  t.true(SOURCES.length > 50);
  for (const { path, mentions } of SOURCES) {
    for (const name of mentions) {
      const complaint = `${path} imports ${name}`;
      if (isIn(path, 'core')) t.false(isIn(name, 'commands') || isIn(name, 'plugins') || isIn(name, 'bin'), complaint);
      if (isIn(path, 'commands')) t.false(isIn(name, 'bin'), complaint);
      if (isIn(path, 'bin') && FOLDERS.some((folder) => isIn(name, folder))) t.true(isIn(name, 'commands'), complaint);
      if (isIn(path, 'plugins') && FOLDERS.some((folder) => isIn(name, folder)))
        t.true(isIn(name, 'plugins') || name === 'core/plugin.ts', complaint);
      if (!isIn(path, 'test')) t.false(isIn(name, 'test'), complaint);
    }
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

test('the numeric core, masks and model know nothing of files, reports and commands', (t) => {
  for (const { path, mentions } of SOURCES) {
    if (!['core/engine', 'core/methods/masks', 'core/nn'].some((folder) => isIn(path, folder))) continue;
    // These ask the system how many cores there are, and install an engine.
    if (path === 'core/engine/threads.ts' || isIn(path, 'core/engine/install')) continue;
    const outside = mentions.filter((name) =>
      ['core/report', 'core/checkpoint', 'core/data', 'core/config', 'core/train', 'node:fs'].some((part) =>
        name.startsWith(part),
      ),
    );
    t.deepEqual(outside, [], path);
  }
});

test('help loads no tensor library, no image library and nothing that validates', (t) => {
  const loaded = loadedWith('commands/program.ts');
  t.true(loaded.has('core/config/schema.ts'));
  t.deepEqual(
    [...loaded].filter((name) => ['sharp', 'zod', 'd3-scale', 'yaml', 'core/engine/tf.ts'].includes(name)),
    [],
  );
});

test('source files are of a size that can be read at once', (t) => {
  // Long for a reason: the schema is one list of all options.
  const reasons = ['core/config/schema.ts', 'test/'];
  for (const { path, lines } of SOURCES) {
    if (!reasons.some((start) => path.startsWith(start))) t.true(lines <= 250, `${path} has ${lines} lines`);
  }
});

test('the README has no gap, and every file that it shows is there', (t) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  t.notRegex(readme, /@[A-Z]+@|TODO|TBD/);
  const links = [...readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map((match) => match[1] as string);
  t.true(links.length >= 2);
  for (const link of links) t.true(existsSync(join(ROOT, link)), link);
});
