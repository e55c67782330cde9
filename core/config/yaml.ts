import { type Document, isScalar, Lexer, Parser, parseDocument, visit } from 'yaml';
import { describePlace } from '../base/text.js';

/** Most bytes of a configuration: about what a command line can hold, which is recorded in one. */
export const LARGEST_CONFIGURATION = 2 ** 21;
/** Nesting of collections, about; the parser's recursion would end the process where it is a few thousand. */
const DEEPEST = 100;

/**
 * Reads YAML. One parser reads and writes all YAML of this program; what would keep it busy for hours, or break it, is
 * refused before.
 * @throws Error with the reason if it is none, too large or too deep, or has keys that are no words, or the same one twice
 */
export function parseYaml(text: string): unknown {
  if (text.length > LARGEST_CONFIGURATION) throw new Error(`it has more than ${LARGEST_CONFIGURATION} bytes`);
  checkDepth(text);
  // The parser's own comparison of keys, and its picture of each error, take time that grows with the square of the text.
  const document = parseDocument(text, { logLevel: 'error', uniqueKeys: false, prettyErrors: false });
  const [error] = document.errors;
  if (error) throw new Error(error.message + describePlace(text, error.pos[0]));
  checkKeys(document, text);
  return document.toJS();
}

function checkDepth(text: string): void {
  const parser = new Parser();
  for (const word of new Lexer().lex(text)) {
    for (const _token of parser.next(word)); // makes it go on
    if (parser.stack.length > DEEPEST) throw new Error('it is nested too deeply');
  }
}

function checkKeys(document: Document, text: string): void {
  visit(document, {
    Map(_, map) {
      const keys = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) throw new Error('a key is not a word');
        if (keys.has(key.value)) {
          throw new Error(`it has ${key.value} twice${key.range ? describePlace(text, key.range[0]) : ''}`);
        }
        keys.add(key.value);
      }
    },
  });
}
