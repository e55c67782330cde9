import { RandomStream } from '../base/random.js';
import { reasonInPlugin } from '../contract/extension.js';
import type { Monitor, MonitorInput, MonitorReport, RunFacts } from '../contract/monitors.js';
import { rankMe } from '../eval/geometry.js';
import { checkedReport } from '../run/monitors.js';
import { meanStd } from '../run/watch.js';

const [ROWS, WIDTH, TIMES] = [12, 8, 6];
const RUN: RunFacts = {
  seed: 0,
  totalSteps: 10 * (TIMES - 1),
  images: Array.from({ length: ROWS }, (_, index) => ({ name: `image ${index}` })),
  width: WIDTH,
  fixedTargets: false,
};

/**
 * Holds a monitor against the contract of plugins, on random features that grow alike and then part again.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findMonitorFaults(monitor: Monitor): Promise<string[]> {
  const doubled = monitor.values.find((name, at) => monitor.values.indexOf(name) < at);
  if (doubled !== undefined) return [`values: names ${doubled} twice`];
  try {
    const seen = Array.from({ length: TIMES }, (_, at) => look(at));
    const whole = await reportsOf(monitor, seen, TIMES);
    const again = await reportsOf(monitor, seen, TIMES);
    if (whole !== again) return ['observe: the same features give other reports the second time'];
    const interrupted = await reportsOf(monitor, seen, TIMES / 2);
    if (whole === interrupted) return [];
    return ['observe: a run that goes on gives other reports than one that was not interrupted'];
  } catch (error) {
    return [`observe: ${reasonInPlugin(error)}`];
  }
}

/** What a monitor finds, as text, where it is started anew before the look of the given number. */
async function reportsOf(monitor: Monitor, seen: readonly MonitorInput[], restart: number): Promise<string> {
  const reports: MonitorReport[] = [];
  let memory: unknown = null;
  let started = monitor.start(RUN);
  for (const [at, one] of seen.entries()) {
    if (at === restart) started = monitor.start(RUN);
    const report = checkedReport(monitor, await started.observe({ ...one, features: one.features.slice() }, memory));
    if (report.memory !== undefined) memory = JSON.parse(JSON.stringify(report.memory));
    reports.push(report);
  }
  return JSON.stringify(reports);
}

/** The features of a look: all images are alike in the middle of the run. */
function look(at: number): MonitorInput {
  const spread = Math.abs(at - TIMES / 2);
  const stream = new RandomStream(0, 'conformance monitor', at);
  const valueAt = (place: number) => (place % WIDTH) + spread * stream.normal();
  const features = Float32Array.from({ length: ROWS * WIDTH }, (_, place) => valueAt(place));
  return {
    step: 10 * at,
    loss: at === 0 ? null : 1 / at,
    features,
    std: meanStd(features, ROWS),
    rank: rankMe(features, ROWS),
  };
}
