import fc from 'fast-check';

/** What no list expects in a line. */
const STRANGE = [
  ...[
    '',
    ' ',
    '\t',
    ',',
    '#',
    '# note',
    '..',
    '../..',
    '../../outside.jpg 0',
    '/etc/passwd 0',
    'C:\\x.jpg 0',
    'a\0b.jpg 0',
  ],
  ...[
    '\ufeffa.jpg 0',
    '\u001b[2Ja.jpg 0',
    'a.jpg',
    'a.jpg 205',
    'a.jpg -1',
    'a.jpg 1e3',
    'a.jpg 00',
    'a.jpg 99999999999999999999',
  ],
  ...[
    `a${' '.repeat(30_000)}x`,
    `a${','.repeat(30_000)}1x`,
    `a ${'1'.repeat(30_000)}x`,
    '1 '.repeat(15_000),
    'x'.repeat(30_000),
  ],
  ...['__proto__', 'constructor 1', '\ud800.jpg 1', 'a/./b/../c.jpg 1', 'a\u2028b.jpg 1'],
];

/** Text of lines, some of which are right. */
export function editedLines(right: readonly string[]): fc.Arbitrary<Uint8Array> {
  const line = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...right) },
    { weight: 1, arbitrary: fc.constantFrom(...STRANGE) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  );
  return fc
    .tuple(
      fc.oneof(fc.constant([...right]), fc.uniqueArray(line, { maxLength: 8 }), fc.array(line, { maxLength: 8 })),
      fc.constantFrom('\n', '\r\n', '\r', '\n\n'),
    )
    .map(([lines, end]) => Buffer.from(lines.map((text) => text + end).join('')));
}
