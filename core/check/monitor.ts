import { RandomStream } from '../base/random.js';
import { reasonInPlugin } from '../contract/extension.js';
import type { Monitor, MonitorInput, MonitorReport, RunFacts } from '../contract/monitors.js';
import { checkedReport } from '../run/monitors.js';
import { meanStd, rankMe } from '../run/watch.js';

const [ROWS, WIDTH, LOOKS] = [12, 8, 6];
const RUN: RunFacts = {
  seed: 0,
  totalSteps: 10 * (LOOKS - 1),
  images: Array.from({ length: ROWS }, (_, index) => ({ name: `image ${index}` })),
  width: WIDTH,
};

/**
 * Holds a monitor against the contract of plugins, on random features that grow alike and then part again.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findMonitorFaults(monitor: Monitor): Promise<string[]> {
  const doubled = monitor.values.find((name, at) => monitor.values.indexOf(name) < at);
  if (doubled !== undefined) return [`values: names ${doubled} twice`];
  try {
    const seen = Array.from({ length: LOOKS }, (_, at) => look(at));
    const whole = await findingsOf(monitor, seen, LOOKS);
    const again = await findingsOf(monitor, seen, LOOKS);
    if (whole !== again) return ['look: the same features give other findings the second time'];
    const interrupted = await findingsOf(monitor, seen, LOOKS / 2);
    return whole === interrupted
      ? []
      : ['look: a run that goes on gives other findings than one that was not interrupted'];
  } catch (error) {
    return [`look: ${reasonInPlugin(error)}`];
  }
}

/** What a monitor finds, as text, where it is started anew before the look of the given number. */
async function findingsOf(monitor: Monitor, seen: readonly MonitorInput[], restart: number): Promise<string> {
  const findings: MonitorReport[] = [];
  let memory: unknown = null;
  let started = monitor.start(RUN);
  for (const [at, one] of seen.entries()) {
    if (at === restart) started = monitor.start(RUN);
    const finding = checkedReport(monitor, await started.observe({ ...one, features: one.features.slice() }, memory));
    if (finding.memory !== undefined) memory = JSON.parse(JSON.stringify(finding.memory));
    findings.push(finding);
  }
  return JSON.stringify(findings);
}

/** The features of a look: all images are alike in the middle of the run. */
function look(at: number): MonitorInput {
  const spread = Math.abs(at - LOOKS / 2);
  const stream = new RandomStream(0, 'conformance monitor', at);
  const features = Float32Array.from(
    { length: ROWS * WIDTH },
    (_, place) => (place % WIDTH) + spread * stream.normal(),
  );
  return {
    step: 10 * at,
    loss: at === 0 ? null : 1 / at,
    features,
    std: meanStd(features, ROWS),
    rank: rankMe(features, ROWS),
  };
}
