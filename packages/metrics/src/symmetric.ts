/**
 * Eigenvalues of symmetric matrices in float64: Householder's reduction to three diagonals, then QL iterations with
 * implicit shifts. Golub and Van Loan, "Matrix Computations", sections 8.3.1 and 8.3.3; Dubrulle, Martin and
 * Wilkinson 1968, "The implicit QL algorithm". Matrices are row-major.
 */

/** Eigenvalues and, where asked for, eigenvectors. */
export interface Eigen {
  /** Not sorted. */
  readonly values: Float64Array;
  /** Row i is the eigenvector of value i. */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues of an n × n symmetric matrix, and with `vectors` their eigenvectors too. The matrix is left as it is.
 * Throws a RangeError where it does not have n² numbers.
 */
export function symmetricEigen(matrix: Float64Array, n: number, options: { readonly vectors: true }): Eigen;
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
  options?: { readonly vectors: false },
): Omit<Eigen, 'vectors'>;
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
  options: { readonly vectors: boolean } = { vectors: false },
): { values: Float64Array; vectors?: Float64Array } {
  if (matrix.length !== n * n) throw new RangeError(`${matrix.length} numbers are not a ${n} × ${n} matrix`);
  const a = Float64Array.from(matrix);
  const diagonal = new Float64Array(n);
  const off = new Float64Array(n); // off[i] is between i and i + 1
  const factors = tridiagonalize(a, n, diagonal, off);
  if (!options.vectors) {
    iterate(diagonal, off, n);
    return { values: diagonal };
  }
  const vectors = accumulate(a, factors, n);
  iterate(diagonal, off, n, vectors);
  return { values: diagonal, vectors };
}

/**
 * Reflections H = I − β v vᵀ that leave three diagonals. Column k's v stays in row k of `a`, from k + 1 on; returns
 * the β.
 */
function tridiagonalize(a: Float64Array, n: number, diagonal: Float64Array, off: Float64Array): Float64Array {
  const factors = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k]!;
    const v = a.subarray(k * n, (k + 1) * n);
    let norm = 0;
    for (let i = k + 1; i < n; i++) norm = Math.hypot(norm, v[i]!);
    const head = v[k + 1]!;
    let rest = 0;
    for (let i = k + 2; i < n; i++) rest = Math.max(rest, Math.abs(v[i]!));
    if (rest === 0) {
      off[k] = head; // nothing to remove
      continue;
    }
    off[k] = head > 0 ? -norm : norm;
    v[k + 1] = head - off[k]!;
    // β = 2 / vᵀv; vᵀv = 2 norm (norm + |head|)
    const beta = 1 / (norm * (norm + Math.abs(head)));
    factors[k] = beta;
    // A' = A − v wᵀ − w vᵀ with p = β A v, w = p − (β pᵀv / 2) v
    let product = 0;
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += a[row + j]! * v[j]!;
      p[i] = beta * sum;
      product += p[i]! * v[i]!;
    }
    const half = (beta * product) / 2;
    for (let i = k + 1; i < n; i++) p[i] = p[i]! - half * v[i]!;
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      const [vi, wi] = [v[i]!, p[i]!];
      for (let j = k + 1; j < n; j++) a[row + j] = a[row + j]! - vi * p[j]! - wi * v[j]!;
    }
  }
  diagonal[n - 1] = a[n * n - 1]!;
  return factors;
}

/** The product of the reflections, transposed: rows that the iteration turns into eigenvectors. */
function accumulate(a: Float64Array, factors: Float64Array, n: number): Float64Array {
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  // Qᵀ = H(n−2) ... H0: from the last, so that each only touches the lower right
  for (let k = n - 2; k >= 0; k--) {
    const beta = factors[k]!;
    if (beta === 0) continue;
    const v = a.subarray(k * n, (k + 1) * n);
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += q[row + j]! * v[j]!;
      const factor = beta * sum;
      for (let j = k + 1; j < n; j++) q[row + j] = q[row + j]! - factor * v[j]!;
    }
  }
  return q;
}

/** QL with implicit Wilkinson shifts; `diagonal` becomes the eigenvalues. */
function iterate(diagonal: Float64Array, off: Float64Array, n: number, vectors?: Float64Array): void {
  for (let low = 0; low < n; low++) {
    for (let round = 0; ; round++) {
      let high = low;
      while (high < n - 1) {
        const scale = Math.abs(diagonal[high]!) + Math.abs(diagonal[high + 1]!);
        if (Math.abs(off[high]!) <= Number.EPSILON * scale) break;
        high++;
      }
      if (high === low) break;
      if (round === 60) throw new RangeError('eigenvalues do not converge: is a number not finite?');
      const gap = (diagonal[low + 1]! - diagonal[low]!) / (2 * off[low]!);
      const root = Math.hypot(gap, 1);
      const shift = diagonal[low]! - off[low]! / (gap + (gap < 0 ? -root : root));
      // chase the bulge from the bottom of the block to its top by rotations of neighbours
      let [x, z] = [diagonal[high]! - shift, off[high - 1]!];
      for (let i = high - 1; i >= low; i--) {
        const length = Math.hypot(x, z);
        const [c, s] = length === 0 ? [1, 0] : [x / length, z / length];
        if (i + 1 < high) off[i + 1] = length;
        const [d0, d1, e] = [diagonal[i]!, diagonal[i + 1]!, off[i]!];
        // [d1 e; e d0] turned by the rotation that removes the bulge
        diagonal[i + 1] = c * c * d1 + 2 * c * s * e + s * s * d0;
        diagonal[i] = s * s * d1 - 2 * c * s * e + c * c * d0;
        off[i] = c * s * (d0 - d1) + (c * c - s * s) * e;
        if (i > low) {
          x = off[i]!;
          z = s * off[i - 1]!;
          off[i - 1] = c * off[i - 1]!;
        }
        if (vectors) rotate(vectors, n, i, c, s);
      }
    }
  }
}

/** Rows i + 1 and i of the eigenvectors, turned as the matrix was. */
function rotate(vectors: Float64Array, n: number, i: number, c: number, s: number): void {
  const upper = vectors.subarray(i * n, (i + 1) * n);
  const lower = vectors.subarray((i + 1) * n, (i + 2) * n);
  for (let j = 0; j < n; j++) {
    const [u, l] = [upper[j]!, lower[j]!];
    lower[j] = c * l + s * u;
    upper[j] = c * u - s * l;
  }
}
