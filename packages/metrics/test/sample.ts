/** Probabilities (N, 4) and labels that tests make without a generator, so that other languages can make them too. */
export function sample(length = 200): { probabilities: Float64Array; labels: number[] } {
  const raw = Array.from({ length: length * 4 }, (_, i) => (Math.floor((i * 2654435761) / 65536) % 256) + 1);
  const probabilities = Float64Array.from(raw, (value, i) => {
    const row = i - (i % 4);
    return value / (raw[row]! + raw[row + 1]! + raw[row + 2]! + raw[row + 3]!);
  });
  return { probabilities, labels: Array.from({ length }, (_, n) => (n * 7 + Math.floor(n / 5)) % 4) };
}

export function close(actual: number, expected: number, tolerance = 1e-12): void {
  if (!(Math.abs(actual - expected) <= tolerance))
    throw new Error(`${actual} is not within ${tolerance} of ${expected}`);
}
