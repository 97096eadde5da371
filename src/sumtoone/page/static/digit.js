// From grey pixels to a digit as MNIST has them: the second half of photos.py, step by step.
//
// A plane is {values: Float32Array, width, height}.

import { gaussian, labelled, median, opening, steepness } from "./filters.js";
import { greatest } from "./network.js";
import { resizedFloats, roundToEven } from "./resample.js";

// photos.py says what each of these is.
const FILL = 20 / 28;
const COARSE = 96;
const STROKE = 0.3;
const NOISE = 5;
const LEAST_INK = 12;
const FAINT = 0.25;
const CRUMB = 0.04;
const STEEP = 0.5;

/**
 * The digit in a grey picture, bright on black, scaled to 20 of 28 pixels and centred by mass.
 * @returns {Uint8Array | null} rows * columns pixels; null where there is no ink
 */
export function asMnist(grey, rows, columns) {
  const ink = inkOf(grey);
  const digit = ink && withoutCrumbs(ink);
  const cut = digit && cutOut(digit, 0, 0);
  return cut && centred(scaled(cut, rows, columns), rows, columns);
}

/** How much ink each pixel holds: up to 255 on the digit, next to nothing elsewhere; null where there is no ink. */
function inkOf(grey) {
  const { values, width, height } = grey;
  const { bright, dark } = standingOut(grey);
  const ink = bright.values;
  const background = backgroundOf(bright).values;
  const share = new Float32Array(values.length);
  for (let place = 0; place < ink.length; place++) {
    const above = ink[place] - background[place];
    ink[place] = above > 0 ? above : 0;
    // In the shade ink stands out less: what counts is the share it takes of the light there is.
    const light = Math.fround((dark ? values[place] : 255 - values[place]) + ink[place]);
    share[place] = 255 / (light > 32 ? light : 32);
  }
  // Half of the pixels or more hold no ink: their median and their spread are the noise's.
  const middle = median(ink);
  const spread = background;
  for (let place = 0; place < ink.length; place++) {
    const above = ink[place] - middle;
    spread[place] = above < 0 ? -above : above;
    ink[place] = above > 0 ? above : 0;
  }
  const noise = 1.4826 * median(spread);
  const least = Math.max(LEAST_INK, NOISE * noise);
  // A mean is nowhere above all that it is of: what is fainter, and out of the filter's reach, need not be filtered.
  const seen = cutOut({ values: ink, width, height }, 0.99 * least, 8);
  if (seen === null || greatest(gaussian(seen, 1, true).values) < least) return null;
  const faintest = Math.fround(NOISE * noise);
  for (let place = 0; place < ink.length; place++) {
    ink[place] = ink[place] < faintest ? 0 : ink[place] * share[place];
  }
  return { values: ink, width, height };
}

/** The picture in even light, its ink bright; and whether the ink is dark in the picture itself. */
function standingOut(grey) {
  const { values, width, height } = grey;
  const lighting = resizedFloats(lightingOf(grey), height, width).values;
  const even = new Float32Array(values.length);
  for (let place = 0; place < even.length; place++) even[place] = values[place] - lighting[place];
  const small = coarse({ values: even, width, height }).values;
  // What stands out most against what the border shows is the ink.
  const dark = greatest(small.map((value) => -value)) > greatest(small);
  if (dark) for (let place = 0; place < even.length; place++) even[place] = -even[place];
  return { bright: { values: even, width, height }, dark };
}

/** The ink without the pieces that are too small, or too soft at their edges, to be part of the digit. */
function withoutCrumbs(whole) {
  const faint = Math.fround(FAINT * greatest(whole.values));
  // What is farther away than the filter reaches does not count.
  const ink = cutOut(whole, faint, 4);
  if (ink === null) return null;
  const { values, width, height } = ink;
  const { pieces, count } = labelled(ink, faint);
  const steep = steepness(ink, 1).values;
  const steepest = new Float64Array(count + 1);
  const held = new Float64Array(count + 1);
  for (let place = 0; place < values.length; place++) {
    const piece = pieces[place];
    if (piece === 0) continue; // what lies between the pieces
    steepest[piece] = Math.max(steepest[piece], steep[place]);
    held[piece] += values[place];
  }
  const edge = STEEP * greatest(steepest);
  const crumb = CRUMB * greatest(held.filter((_, piece) => steepest[piece] > edge));
  // The grey pixels along an edge are fainter than any piece, and belong to the one they touch.
  const digit = new Float32Array(values.length);
  for (let place = 0; place < values.length; place++) {
    const piece = pieces[place];
    if (!(steepest[piece] > edge && held[piece] >= crumb)) continue;
    const x = place % width;
    const y = (place - x) / width;
    for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
      const from = row * width + Math.max(0, x - 1);
      const to = row * width + Math.min(width - 1, x + 1);
      for (let each = from; each <= to; each++) digit[each] = values[each];
    }
  }
  return { values: digit, width, height };
}

/** The quadratic surface that the border of the picture lies on, on the coarse picture. */
function lightingOf(grey) {
  const { values, width, height } = coarse(grey);
  const down = Float64Array.from({ length: height }, (_, y) => between(y, height));
  const across = Float64Array.from({ length: width }, (_, x) => between(x, width));
  const thickness = 1 + Math.trunc(Math.max(width, height) / 24);
  const terms = [];
  const seen = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (x >= thickness && x < width - thickness && y >= thickness && y < height - thickness) continue;
      terms.push(1, across[x], down[y], across[x] * down[y], across[x] * across[x], down[y] * down[y]);
      seen.push(values[y * width + x]);
    }
  }
  const surface = leastDeviations(Float64Array.from(terms), Float64Array.from(seen));
  const lighting = new Float32Array(values.length);
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      const [level, slope] = [surface[0] + surface[1] * across[x], surface[2] * down[y]];
      const [twist, bend] = [surface[3] * (across[x] * down[y]), surface[4] * (across[x] * across[x])];
      lighting[place] = level + slope + twist + bend + surface[5] * (down[y] * down[y]);
    }
  }
  return { values: lighting, width, height };
}

/** The factors of six terms that come nearest to what is seen, by absolute deviation: outliers do not bend them. */
function leastDeviations(terms, seen) {
  const weights = new Float64Array(seen.length).fill(1);
  const system = new Float64Array(6 * 7);
  let factors;
  // Least squares, reweighted.
  for (let round = 0; round < 10; round++) {
    system.fill(0);
    for (let each = 0; each < seen.length; each++) {
      for (let row = 0; row < 6; row++) {
        const weighted = terms[each * 6 + row] * weights[each];
        for (let column = row; column < 6; column++) system[row * 7 + column] += weighted * terms[each * 6 + column];
        system[row * 7 + 6] += weighted * seen[each];
      }
    }
    factors = solved(system);
    for (let each = 0; each < seen.length; each++) {
      let fitted = 0;
      for (let term = 0; term < 6; term++) fitted += factors[term] * terms[each * 6 + term];
      weights[each] = 1 / Math.max(Math.abs(seen[each] - fitted), 1);
    }
  }
  return factors;
}

/** The number at this place of so many from -1 to 1. */
function between(place, count) {
  return place === count - 1 ? 1 : place * (2 / (count - 1)) - 1;
}

/**
 * Solve a symmetric system of six, row by row with its right side at the end of each; what it leaves open, as a small
 * picture does, is 0.
 * @param {Float64Array} system only its upper half is read; it is overwritten
 */
function solved(system) {
  const at = (row, column) => row * 7 + column;
  for (let row = 1; row < 6; row++) {
    for (let column = 0; column < row; column++) system[at(row, column)] = system[at(column, row)];
  }
  const solution = new Float64Array(6);
  const pivots = [];
  let largest = 0;
  for (let step = 0; step < 6; step++) {
    let pivot = -1;
    for (let row = 0; row < 6; row++) {
      if (!pivots.includes(row) && (pivot < 0 || system[at(row, row)] > system[at(pivot, pivot)])) pivot = row;
    }
    largest ||= system[at(pivot, pivot)];
    if (system[at(pivot, pivot)] <= 1e-10 * largest) break;
    pivots.push(pivot);
    for (let row = 0; row < 6; row++) {
      if (row === pivot) continue;
      const factor = system[at(row, pivot)] / system[at(pivot, pivot)];
      for (let column = 0; column < 7; column++) system[at(row, column)] -= factor * system[at(pivot, column)];
    }
  }
  for (const pivot of pivots) solution[pivot] = system[at(pivot, 6)] / system[at(pivot, pivot)];
  return solution;
}

/** What the picture would be without its bright strokes: a grey opening, smoothed. */
function backgroundOf(bright) {
  const small = coarse(bright);
  const window = Math.max(3, roundToEven(Math.max(small.width, small.height) * STROKE));
  return resizedFloats(gaussian(opening(small, window), window / 8, false), bright.height, bright.width);
}

function coarse(plane) {
  const scale = Math.min(1, COARSE / Math.max(plane.width, plane.height));
  const side = (length) => Math.max(1, roundToEven(length * scale));
  return resizedFloats(plane, side(plane.height), side(plane.width));
}

/** The smallest rectangle that holds what is above a threshold, and so much more on each side; null for nothing. */
function cutOut({ values, width, height }, threshold, more) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      if (!(values[place] > threshold)) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (bottom < 0) return null;
  [top, left] = [Math.max(0, top - more), Math.max(0, left - more)];
  const cut = {
    values: null,
    width: Math.min(width - 1, right + more) + 1 - left,
    height: Math.min(height - 1, bottom + more) + 1 - top,
  };
  cut.values = new Float32Array(cut.width * cut.height);
  for (let y = 0; y < cut.height; y++) {
    const start = (top + y) * width + left;
    cut.values.set(values.subarray(start, start + cut.width), y * cut.width);
  }
  return cut;
}

/** The cut scaled so that it fills the box in one direction, and 255 where the ink is full; whole numbers. */
function scaled(cut, rows, columns) {
  const [tall, wide] = [rows, columns].map((side) => Math.max(1, roundToEven(side * FILL)));
  const scale = Math.min(tall / cut.height, wide / cut.width);
  const side = (length) => Math.max(1, roundToEven(length * scale));
  const digit = resizedFloats(cut, side(cut.height), side(cut.width), true);
  const ink = digit.values.filter((value) => value > 0).sort();
  // The 90th percentile, between its two neighbours.
  const rank = 0.9 * (ink.length - 1);
  const below = ink[Math.trunc(rank)];
  const full = Math.fround(below + (ink[Math.ceil(rank)] - below) * (rank % 1));
  const factor = Math.fround(255 / full);
  const levels = digit.values.map((value) => Math.min(Math.max(value * factor, 0), 255));
  return { ...digit, values: levels.map(roundToEven) };
}

/** Place the digit so that its centre of mass is the field's centre, as far as it stays inside. */
function centred(digit, rows, columns) {
  const { values, width, height } = digit;
  let [mass, down, across] = [0, 0, 0];
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      mass += values[place];
      down += values[place] * y;
      across += values[place] * x;
    }
  }
  // MNIST's own convention: the pixel of index side / 2, half a pixel past the middle.
  const start = (side, length, moment) =>
    Math.min(Math.max(roundToEven(side / 2 - moment / mass), 0), side - length);
  const top = start(rows, height, down);
  const left = start(columns, width, across);
  const pixels = new Uint8Array(rows * columns);
  for (let y = 0; y < height; y++) {
    pixels.set(values.subarray(y * width, (y + 1) * width), (top + y) * columns + left);
  }
  return pixels;
}
