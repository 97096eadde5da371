// Filters of planes of floats, as scipy.ndimage defines them. A plane is {values: Float32Array, width, height}.

/**
 * The Gaussian filter, to four standard deviations.
 * @param {boolean} mirrored beyond the rim lies the plane's mirror image ("reflect"), else its last values ("nearest")
 */
export function gaussian(plane, deviation, mirrored) {
  const kernel = gaussianKernel(deviation);
  return filteredRows(filteredColumns(plane, kernel, 1, mirrored), kernel, 1, mirrored);
}

/** How steep a plane is: the length of the gradient of its Gaussian filter, mirrored at the rim. */
export function steepness(plane, deviation) {
  const kernel = gaussianKernel(deviation);
  const slope = kernel.map((weight, place) => -place * weight);
  const down = filteredRows(filteredColumns(plane, slope, -1, true), kernel, 1, true).values;
  const across = filteredRows(filteredColumns(plane, kernel, 1, true), slope, -1, true).values;
  for (let place = 0; place < down.length; place++) {
    const squares = Math.fround(down[place] * down[place]) + Math.fround(across[place] * across[place]);
    down[place] = Math.sqrt(Math.fround(squares));
  }
  return { ...plane, values: down };
}

/** What is left of a plane when all that is narrower than a square window and brighter is taken off. */
export function opening(plane, window) {
  const before = window >> 1;
  const after = window - before - 1;
  const eroded = least(least(plane, before, after, false), before, after, true);
  const dilated = least(least(negated(eroded), after, before, false), after, before, true);
  return negated(dilated);
}

/** The median of floats that are not negative. */
export function median(values) {
  const half = values.length >> 1;
  const upper = ranked(values, half);
  if (values.length % 2) return upper;
  // The value before it in order: itself, or the greatest that is less.
  let [below, lower] = [0, 0];
  for (let place = 0; place < values.length; place++) {
    if (values[place] >= upper) continue;
    below++;
    if (values[place] > lower) lower = values[place];
  }
  return below < half ? upper : Math.fround(Math.fround(lower + upper) / 2);
}

/**
 * Number the pieces of what is above a threshold; pixels that touch at a corner are of one piece.
 * @returns {{pieces: Int32Array, count: number}} pieces from 1 on, 0 for what lies between them
 */
export function labelled(plane, threshold) {
  const { values, width, height } = plane;
  const pieces = new Int32Array(values.length);
  const waiting = new Int32Array(values.length);
  let count = 0;
  for (let start = 0; start < values.length; start++) {
    if (!(values[start] > threshold) || pieces[start]) continue;
    pieces[start] = ++count;
    waiting[0] = start;
    for (let left = 1; left > 0; ) {
      const place = waiting[--left];
      const x = place % width;
      const y = (place - x) / width;
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const next = row * width + column;
          if (!(values[next] > threshold) || pieces[next]) continue;
          pieces[next] = count;
          waiting[left++] = next;
        }
      }
    }
  }
  return { pieces, count };
}

/** The weights at distance 0, 1, …: a kernel is symmetric, or antisymmetric, and its one half says all. */
function gaussianKernel(deviation) {
  const radius = Math.trunc(4 * deviation + 0.5);
  const half = Float64Array.from({ length: radius + 1 }, (_, x) => Math.exp((-0.5 / (deviation * deviation)) * x * x));
  const sum = half.reduce((total, weight) => total + 2 * weight, -half[0]);
  return half.map((weight) => weight / sum);
}

// A sign of -1 is an antisymmetric kernel. All sums are of doubles; what is kept between them are floats.

function filteredRows({ values, width, height }, kernel, sign, mirrored) {
  const radius = kernel.length - 1;
  const wanted = new Float32Array(values.length);
  const line = new Float64Array(width + 2 * radius);
  const places = beyond(width, radius, mirrored);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < line.length; x++) line[x] = values[y * width + places[x]];
    for (let x = 0; x < width; x++) {
      let sum = line[x + radius] * kernel[0];
      for (let far = radius; far > 0; far--) {
        sum += (line[x + radius - far] + sign * line[x + radius + far]) * kernel[far];
      }
      wanted[y * width + x] = sum;
    }
  }
  return { values: wanted, width, height };
}

function filteredColumns({ values, width, height }, kernel, sign, mirrored) {
  const radius = kernel.length - 1;
  const wanted = new Float32Array(values.length);
  const sums = new Float64Array(width);
  const places = beyond(height, radius, mirrored);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) sums[x] = values[y * width + x] * kernel[0];
    for (let far = radius; far > 0; far--) {
      const above = places[y + radius - far] * width;
      const below = places[y + radius + far] * width;
      const weight = kernel[far];
      for (let x = 0; x < width; x++) sums[x] += (values[above + x] + sign * values[below + x]) * weight;
    }
    wanted.set(sums, y * width);
  }
  return { values: wanted, width, height };
}

/** The place in a line of this length that each place from -radius to length + radius - 1 takes its value from. */
function beyond(length, radius, mirrored) {
  return Int32Array.from({ length: length + 2 * radius }, (_, place) => {
    const wanted = place - radius;
    if (!mirrored) return Math.min(Math.max(wanted, 0), length - 1);
    const inside = ((wanted % (2 * length)) + 2 * length) % (2 * length);
    return Math.min(inside, 2 * length - 1 - inside);
  });
}

function negated(plane) {
  return { ...plane, values: plane.values.map((value) => -value) };
}

/**
 * The least value in a window around each place of every row, or column, in a time that does not depend on its size.
 *
 * Lines are cut into pieces as long as the window, which then is the end of one piece and the beginning of the next:
 * van Herk, *A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels*, 1992.
 */
function least({ values, width, height }, before, after, inRows) {
  const wanted = new Float32Array(values.length);
  const window = before + after + 1;
  const [lines, length, line, step] = inRows ? [height, width, width, 1] : [width, height, 1, width];
  const fromStart = new Float32Array(length + window).fill(Infinity);
  const toEnd = fromStart.slice();
  for (let each = 0; each < lines; each++) {
    const first = each * line;
    for (let place = before; place < length + window - 1; place++) {
      const value = place < before + length ? values[first + (place - before) * step] : Infinity;
      const earlier = place % window === 0 ? Infinity : fromStart[place - 1];
      fromStart[place] = earlier < value ? earlier : value;
      toEnd[place] = value;
    }
    for (let place = before + length - 1; place >= 0; place--) {
      const later = (place + 1) % window === 0 ? Infinity : toEnd[place + 1];
      const value = place < before ? Infinity : toEnd[place];
      toEnd[place] = later < value ? later : value;
    }
    for (let place = 0; place < length; place++) {
      const [start, end] = [toEnd[place], fromStart[place + window - 1]];
      wanted[first + place * step] = start < end ? start : end;
    }
  }
  return { values: wanted, width, height };
}

/** The value of this rank, from 0, of floats that are not negative: as whole numbers their bits have the same order. */
function ranked(values, rank) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const counts = new Uint32Array(2 ** 16);
  for (let place = 0; place < bits.length; place++) counts[bits[place] >>> 16]++;
  let high = 0;
  for (; rank >= counts[high]; high++) rank -= counts[high];
  counts.fill(0);
  for (let place = 0; place < bits.length; place++) {
    if (bits[place] >>> 16 === high) counts[bits[place] & 0xffff]++;
  }
  let low = 0;
  for (; rank >= counts[low]; low++) rank -= counts[low];
  return new Float32Array(Uint32Array.of(high * 2 ** 16 + low).buffer)[0];
}
