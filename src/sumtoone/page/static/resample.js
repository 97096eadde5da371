// Pictures made smaller or larger, as Pillow does it: its block means, its triangle and its cubic, its rounding.
//
// A plane is {values, width, height}: a typed array, row by row.

const TRIANGLE = { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };
const CUBIC = {
  support: 2,
  at(x) {
    const distance = Math.abs(x);
    if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
    return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * -0.5 : 0;
  },
};

// Weights of 8-bit pictures are whole numbers of 2^-22.
const ONE = 2 ** 22;

/** Round as Python and NumPy do: a half goes to the even neighbour. */
export function roundToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * The mean of count 8-bit values of this sum, rounded as Pillow's `reduce` does: by a product, not by a division.
 * @returns {(sum: number) => number}
 */
export function meanOf(count) {
  const multiplier = Math.trunc(Math.fround(2 ** 32 / Math.fround(256 * count)));
  const half = count >> 1;
  return (sum) => Math.trunc(((sum + half) * multiplier) / 2 ** 24);
}

/**
 * A plane of floats at another size, antialiased where it shrinks; the plane itself where the size is its own.
 * @param {{values: Float32Array, width: number, height: number}} plane
 */
export function resizedFloats(plane, height, width, cubic = false) {
  return resized(plane, 1, height, width, (from, to) => tapsOf(from, to, cubic ? CUBIC : TRIANGLE), 0);
}

/**
 * The same for 8 bits and any number of interleaved channels, by the triangle filter.
 * @param {{values: Uint8ClampedArray, width: number, height: number}} plane width * channels values in a row
 */
export function resizedBytes(plane, channels, height, width) {
  return resized(plane, channels, height, width, (from, to) => whole(tapsOf(from, to, TRIANGLE)), ONE / 2);
}

// Sums begin at `start`: 0 for floats; half a unit for whole weights, whose sum is then divided by a shift.

function resized(plane, channels, height, width, taps, start) {
  let { values } = plane;
  const empty = (length) => new values.constructor(length);
  const across = () => {
    if (width === plane.width) return;
    const rows = values.length / (plane.width * channels);
    const wanted = empty(width * rows * channels);
    values = alongRows(values, plane.width, rows, channels, taps(plane.width, width), wanted, start);
  };
  const down = () => {
    if (height === plane.height) return;
    const length = values.length / plane.height;
    values = alongColumns(values, length, taps(plane.height, height), empty(length * height), start);
  };
  // As Pillow 13 does it: what shrinks most goes first. Each pass rounds, so that the order shows in the last bit.
  const shrinks = plane.height - height;
  const order = shrinks > 0 && shrinks > (plane.width - width) * 2 ? [down, across] : [across, down];
  for (const pass of order) pass();
  return { values, width, height };
}

/** For each place of the output: the first place of the input that it sees, how many, and their weights. */
function tapsOf(from, to, filter) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const firsts = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Float64Array(to * most);
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - first;
    let sum = 0;
    for (let tap = 0; tap < count; tap++) {
      const weight = filter.at((tap + first - centre + 0.5) * (1 / stretch));
      weights[place * most + tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < count; tap++) weights[place * most + tap] /= sum;
    firsts[place] = first;
    counts[place] = count;
  }
  return { to, most, firsts, counts, weights };
}

function whole(taps) {
  const weights = taps.weights.map((weight) => Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5)));
  return { ...taps, weights };
}

function alongRows(values, width, height, channels, taps, wanted, start) {
  const { to, most, firsts, counts, weights } = taps;
  let out = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      const first = x * most;
      const last = first + counts[x];
      for (let channel = 0; channel < channels; channel++) {
        let place = (y * width + firsts[x]) * channels + channel;
        let sum = start;
        for (let tap = first; tap < last; tap++, place += channels) sum += values[place] * weights[tap];
        wanted[out++] = start ? sum >> 22 : sum;
      }
    }
  }
  return wanted;
}

function alongColumns(values, width, taps, wanted, start) {
  const { to, most, firsts, counts, weights } = taps;
  const sums = new Float64Array(width);
  for (let y = 0; y < to; y++) {
    sums.fill(start);
    for (let tap = 0; tap < counts[y]; tap++) {
      const weight = weights[y * most + tap];
      const row = (firsts[y] + tap) * width;
      for (let x = 0; x < width; x++) sums[x] += values[row + x] * weight;
    }
    for (let x = 0; x < width; x++) wanted[y * width + x] = start ? sums[x] >> 22 : sums[x];
  }
  return wanted;
}
