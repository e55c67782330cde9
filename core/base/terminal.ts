/** What can be done with a stream that people read. */
export interface Terminal {
  /** Lines that are drawn again and again: on terminals that can move their cursor. */
  bars: boolean;
  colour: boolean;
  /** Characters of a line; undefined where that is not known. */
  columns: number | undefined;
}

/**
 * What a stream can do, by what the system and the usual variables say: `TERM=dumb` cannot move its cursor, `NO_COLOR` takes
 * colours away (no-color.org), `FORCE_COLOR` puts them everywhere; a width of 0 is one that is not known.
 */
export function terminalOf(
  { isTTY, columns }: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>,
  { TERM, NO_COLOR, FORCE_COLOR }: NodeJS.ProcessEnv = process.env,
): Terminal {
  const bars = isTTY === true && TERM !== 'dumb';
  const isOff = (NO_COLOR ?? '') !== '' || ['0', 'false'].includes(FORCE_COLOR ?? '');
  const isForced = FORCE_COLOR !== undefined && !isOff;
  return { bars, colour: !isOff && (bars || isForced), columns: columns > 0 ? columns : undefined };
}
