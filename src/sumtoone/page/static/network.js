// The mathematics of the page, in float64 over the run's float32 weights. No DOM: it runs in a page and in Node.
//
// Shape suffixes as in Python: N rows, D features, H units, K classes.

const LEAKY_SLOPE = 0.01;

// All terms are positive, so nothing cancels; past 6 what is left is below half a unit of the last place.
function erf(x) {
  const size = Math.abs(x);
  if (!(size < 6)) return Math.sign(x);
  let term = size;
  let sum = size;
  for (let n = 1; term > sum * 1e-17; n += 1) {
    term *= (2 * size * size) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum;
}

export const ACTIVATIONS = {
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  relu: (x) => Math.max(x, 0),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  "leaky-relu": (x) => (x < 0 ? LEAKY_SLOPE * x : x),
  identity: (x) => x,
};

// What `weights.bin` holds as layers: {inputs, units, weight (H, D) row by row, bias (H,)}.
export function layersOf(buffer, sizes) {
  const view = new DataView(buffer);
  let place = 0;
  const take = (count) => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i += 1, place += 4) values[i] = view.getFloat32(place, true);
    return values;
  };
  const layers = sizes.slice(1).map((units, before) => {
    const inputs = sizes[before];
    return { inputs, units, weight: take(inputs * units), bias: take(units) };
  });
  if (place !== buffer.byteLength) throw new Error(`weights of ${buffer.byteLength} bytes, wanted ${place}`);
  return layers;
}

// Raw values (D,) → what the network sees: (x / divisor - mean) / std.
export function preprocessed(values, { divisor, mean, std }) {
  return Float64Array.from(values, (value, i) => {
    return (value / divisor - mean[mean.length > 1 ? i : 0]) / std[std.length > 1 ? i : 0];
  });
}

// Network input (D,) → for each layer its sums before and its values after the activation; those of the last are logits.
export function forward(x, layers, activation) {
  const activate = ACTIVATIONS[activation];
  let values = x;
  return layers.map(({ inputs, units, weight, bias }, place) => {
    const sums = new Float64Array(units);
    for (let unit = 0, at = 0; unit < units; unit += 1) {
      let sum = bias[unit];
      for (let i = 0; i < inputs; i += 1, at += 1) sum += weight[at] * values[i];
      sums[unit] = sum;
    }
    values = place === layers.length - 1 ? sums : sums.map(activate);
    return { sums, values };
  });
}

// Shifted by the largest, so that no exponential overflows.
export function softmax(logits, temperature = 1) {
  const largest = greatest(logits);
  const exponentials = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const total = sum(exponentials);
  return exponentials.map((value) => value / total);
}

export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// Math.max takes so many values as go on the stack: a hundred thousand.
export function greatest(values) {
  let most = -Infinity;
  for (let place = 0; place < values.length; place += 1) if (values[place] > most) most = values[place];
  return most;
}

export function least(values) {
  return -greatest(values.map((value) => -value));
}

export function largestPlace(values) {
  return values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
}

// A batch (2, K) turned into "probabilities" in the right way and in three that are not.
export const WAYS = {
  right: (rows) => rows.map((row) => softmax(row)),
  everything: (rows) => {
    const shares = softmax(rows.flatMap((row) => [...row]));
    return rows.map((row, place) => shares.slice(place * row.length, (place + 1) * row.length));
  },
  axis: (rows) => {
    const columns = [...rows[0]].map((_, k) => softmax(rows.map((row) => row[k])));
    return rows.map((_, place) => Float64Array.from(columns, (column) => column[place]));
  },
  twice: (rows) => rows.map((row) => softmax(softmax(row))),
};

// -log softmax at the true class, from the logits: no probability is rounded to 0 before its logarithm is taken.
export function loss(logits, truth) {
  const largest = greatest(logits);
  const others = sum(Float64Array.from(logits, (logit) => Math.exp(logit - largest)));
  return Math.log(others) - (logits[truth] - largest);
}

// The gradient of the loss by its formula, p - y, and by differences in both directions.
export function gradients(logits, truth) {
  const formula = softmax(logits).map((p, k) => p - (k === truth ? 1 : 0));
  const step = 1e-5;
  const numeric = formula.map((_, k) => {
    const moved = (by) => loss(Float64Array.from(logits, (logit, i) => (i === k ? logit + by : logit)), truth);
    return (moved(step) - moved(-step)) / (2 * step);
  });
  return { formula, numeric, step };
}
