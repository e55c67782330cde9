// What `npm run test:peers` runs: our files in the hands of other programs, and theirs in ours.
export default {
  files: ['dist/test/peers/*.test.js'],
  nodeArguments: ['--enable-source-maps'],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
