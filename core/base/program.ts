/** The name of the program, in messages, file formats and paths. */
export const PROGRAM = 'ijepa';
