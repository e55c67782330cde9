// What `npm run test:browser` runs: pages in a real browser.
export default {
  files: ['dist/test/browser/*.test.js'],
  nodeArguments: ['--enable-source-maps'],
  timeout: '5m',
  concurrency: 1,
  workerThreads: false,
};
