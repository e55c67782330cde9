import test from 'ava';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { RandomStream } from '../../core/base/random.js';
import { principalComponents, projectRows } from '../../core/eval/principal.js';
import { findEngines, firstOf, testOnEngines } from '../helpers/engines.js';

const engines = firstOf(await findEngines());
const [ROWS, WIDTH] = [200, 12];

/** Rows whose columns have other means and spreads, and depend on one another. */
function rows(): Float32Array {
  const stream = new RandomStream(3, 'rows');
  const data = new Float32Array(ROWS * WIDTH);
  for (let row = 0; row < ROWS; row++) {
    const shared = stream.uniform() - 0.5;
    for (let column = 0; column < WIDTH; column++) {
      data[row * WIDTH + column] = column + 4 * shared * Math.cos(column) + (stream.uniform() - 0.5) * (1 + column / 4);
    }
  }
  return data;
}

testOnEngines(test, engines, 'principal components are the eigenvectors of the covariance', async (t, engine) => {
  const data = rows();
  const samples = { rows: ROWS, width: WIDTH, layers: 1, data, labels: new Int32Array(ROWS) };
  const { mean, directions, parts } = await principalComponents(engine, samples, 3);
  const matrix = Matrix.from1DArray(ROWS, WIDTH, data);
  const centred = matrix.clone().subRowVector(matrix.mean('column'));
  const covariance = centred.transpose().mmul(centred).div(ROWS);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, { assumeSymmetric: true });
  for (const [k, direction] of directions.entries()) {
    const at = WIDTH - 1 - k; // the library's are from small to large
    const cosine = eigenvectorMatrix.getColumn(at).reduce((sum, value, i) => sum + value * direction[i], 0);
    t.true(Math.abs(Math.abs(cosine) - 1) < 1e-4, `direction ${k}: ${cosine}`);
    t.true(Math.abs(parts[k] - realEigenvalues[at] / covariance.trace()) < 1e-4, `part ${k}`);
  }
  const placed = projectRows(data, { mean, directions, parts });
  for (let k = 0; k < 3; k++) {
    const values = Array.from({ length: ROWS }, (_, row) => placed[row * 3 + k]);
    const variance = values.reduce((sum, value) => sum + value ** 2, 0) / ROWS;
    t.true(Math.abs(variance / covariance.trace() - parts[k]) < 1e-4, 'rows spread so much along it');
  }
  const all = await principalComponents(engine, samples, WIDTH);
  t.true(Math.abs(all.parts.reduce((sum, part) => sum + part, 0) - 1) < 1e-4);
});
