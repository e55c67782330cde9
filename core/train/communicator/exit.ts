/** Ends the process at once, from any thread: no handler is called, and nothing that a library still does is waited for. */
export async function exitAtOnce(code: number): Promise<never> {
  const { default: koffi } = await import('koffi');
  koffi.load(null).func('void _exit(int status)')(code);
  throw new Error('the process has not ended');
}
