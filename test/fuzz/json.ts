import fc from 'fast-check';

/** A JSON value whose leaves are text as it is written, so that it can hold what no value can be. */
type Node = string | Branch;
interface Branch {
  isObject: boolean;
  items: { key: string; value: Node }[];
}

const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);

/** What no reader expects where it stands; as JSON text, or near it. */
const STRANGE = [
  ...[
    'null',
    'true',
    '0',
    '-0',
    '-1',
    '0.5',
    '1e308',
    '1e999',
    '-1e999',
    'NaN',
    'Infinity',
    '2147483648',
    '4294967296',
  ],
  ...['9007199254740991', '9007199254740992', '18446744073709551616', '1e-400', '0x10', '', '[]', '{}', '[[],{}]'],
  ...['""', '"x"', '"12"', '"NaN"', '"auto"', '"../../outside"', '"/etc/passwd"', '"C:\\\\x"', '"a\\u0000b"'],
  ...['"\\u001b[2J"', '"\\ud800"', '"line\\nline"', `"${'long '.repeat(2000)}"`, `"${'.'.repeat(20_000)}"`],
  ...[
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '{"length":9007199254740991}',
  ],
  ...[nested(100, '[', ']'), nested(20_000, '[', ']'), `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`],
  `[${'0,'.repeat(20_000)}0]`,
];
const KEYS = ['__proto__', 'constructor', 'toString', '', 'length', 'a\u0000b', '\u001b[2J', 'x'.repeat(5000)];

interface Edit {
  at: number;
  kind: 'replace' | 'remove' | 'repeat' | 'rename' | 'add';
  value: string;
  key: string;
}
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat({ max: 10_000 }),
  kind: fc.constantFrom('replace', 'replace', 'remove', 'repeat', 'rename', 'add'),
  value: fc.oneof(fc.constantFrom(...STRANGE), fc.json({ maxDepth: 2 })),
  key: fc.oneof(fc.constantFrom(...KEYS), fc.string()),
});

/** JSON text of values, as they are or changed in up to four places. */
export function editedJson(values: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  return fc.tuple(values, fc.array(edit, { maxLength: 4 })).map(([value, edits]) => {
    const root: Branch = { isObject: false, items: [{ key: '', value: toNode(value) }] };
    for (const change of edits) apply(change, root);
    return root.items.map((item) => toText(item.value)).join('');
  });
}

function apply({ at, kind, value, key }: Edit, root: Branch): void {
  const places = branches(root).flatMap((branch) => branch.items.map((item) => ({ branch, item })));
  const found = places[at % Math.max(1, places.length)];
  if (!found) return;
  const { items } = found.branch;
  const index = items.indexOf(found.item);
  if (kind === 'replace') items[index] = { ...found.item, value };
  if (kind === 'remove') items.splice(index, 1);
  if (kind === 'repeat') items.push(found.item);
  if (kind === 'rename') items[index] = { ...found.item, key };
  if (kind === 'add') items.splice(index, 0, { key, value });
}

function branches(branch: Branch): Branch[] {
  return [branch, ...branch.items.flatMap(({ value }) => (typeof value === 'string' ? [] : branches(value)))];
}

function toNode(value: unknown): Node {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const items = Object.entries(value).map(([key, content]) => ({ key, value: toNode(content) }));
  return { isObject: !Array.isArray(value), items };
}

function toText(node: Node): string {
  if (typeof node === 'string') return node;
  if (!node.isObject) return `[${node.items.map(({ value }) => toText(value)).join()}]`;
  return `{${node.items.map(({ key, value }) => `${JSON.stringify(key)}:${toText(value)}`).join()}}`;
}
