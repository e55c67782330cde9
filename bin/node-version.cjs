// Written as Node 12 reads it.
const { engines } = require('../package.json');

/** What to say where this Node is older than the program needs; undefined where it is not. */
exports.complaint = function complaint(version = process.versions.node, ranges = engines.node) {
  const [major, minor] = version.split('.').map(Number);
  const isNewEnough = ranges.split('||').some((range) => {
    const [lowestMajor, lowestMinor] = range.match(/\d+/g).map(Number);
    if (major === lowestMajor) return minor >= lowestMinor;
    return major > lowestMajor && !range.includes('^');
  });
  if (isNewEnough) return undefined;
  const lowest = ranges.replace(/[\^=>]/g, '').replace(' || ', ', ');
  return `ijepa: Node ${version} is too old\n  what to do: install Node ${lowest} or later\n`;
};
