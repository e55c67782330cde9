import test, { type ExecutionContext } from 'ava';
import { LAUNCHER_NAMES, type Launcher, launchers } from './launchers.js';

/** A test with each launcher, one after the other; skipped, with the reason in its title, where one is not there. */
export function launcherTest(title: string, body: (t: ExecutionContext, launcher: Launcher) => Promise<void>): void {
  for (const name of LAUNCHER_NAMES) {
    const launcher = launchers().find((each) => each.name === name);
    if (launcher) test.serial(`${name}: ${title}`, (t) => body(t, launcher));
    else test.skip(`${name}: ${title} (it is not there)`, () => {});
  }
}
