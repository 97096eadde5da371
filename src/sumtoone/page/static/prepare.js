// Any photo or drawing → the pixels that a network was trained on: what `sumtoone.photos.prepare` does, in the page.
//
// The two must not differ: a picture drawn here and the same picture sent to the server have one answer. What this file
// does, and why, is said in photos.py; the names are the same. All that is kept between two steps is a 32-bit float, as
// there. tests/test_page_prepare.py holds each pixel of the one against the other.

import { meanOf, resizedBytes } from "./resample.js";
import { asMnist } from "./digit.js";

// A picture is worked on with a longer side of one to two times this many pixels.
const WORK = 400;

/**
 * One picture as a network's raw input.
 *
 * The pixels are those of Python's `prepare` for a Pillow image of mode RGBA with the same values, up to one level.
 * They are the bitmap's: whoever decodes a file turns it upright first (as `createImageBitmap` does), and a large JPEG,
 * which Python decodes at a half or a quarter of its size where that suffices, may differ by more.
 *
 * @param {Uint8ClampedArray | Uint8Array} rgba  width * height * 4 values, as in `ImageData`
 * @param {number} width
 * @param {number} height
 * @param {number[]} imageShape  [height, width] or [height, width, channels], with 1 or 3 channels
 * @param {boolean} digits  whether to treat the picture as MNIST's digits were: cut out, scaled, centred by mass
 * @returns {Uint8Array | null}  the pixels row by row, ink bright with `digits`; null where there is no ink
 */
export function prepare(rgba, width, height, imageShape, digits) {
  const [rows, columns, channels = 1] = imageShape;
  if (!digits) {
    const work = Math.max(WORK, rows, columns);
    const picture = opaque(rgba, width, height, channels, work, 255);
    return new Uint8Array(resizedBytes(picture, channels, rows, columns).values);
  }
  const picture = opaque(rgba, width, height, 1, WORK, paperUnder(rgba));
  const digit = asMnist({ ...picture, values: new Float32Array(picture.values) }, rows, columns);
  if (digit === null || channels === 1) return digit;
  return Uint8Array.from({ length: digit.length * channels }, (_, place) => digit[Math.trunc(place / channels)]);
}

/** The picture laid on grey paper, in one channel (grey) or three, reduced to less than twice `work` pixels. */
function opaque(rgba, width, height, channels, work, paper) {
  const factor = Math.max(1, Math.trunc(Math.max(width, height) / work));
  const columns = Math.ceil(width / factor);
  const rows = Math.ceil(height / factor);
  const values = new Uint8ClampedArray(columns * rows * channels);
  const sums = new Float64Array(columns * channels);
  for (let row = 0; row < rows; row++) {
    const last = Math.min(height, (row + 1) * factor);
    sums.fill(0);
    for (let y = row * factor; y < last; y++) addRow(rgba, y * width * 4, width, channels, factor, paper, sums);
    const deep = last - row * factor;
    const mean = meanOf(factor * deep);
    const start = row * sums.length;
    for (let place = 0; place < sums.length; place++) values[start + place] = mean(sums[place]);
    // The last block of a row may be narrower than the others.
    const rest = meanOf((width - (columns - 1) * factor) * deep);
    for (let place = sums.length - channels; place < sums.length; place++) values[start + place] = rest(sums[place]);
  }
  return { values, width: columns, height: rows };
}

/** Add one row of pixels to the sums of the blocks it crosses. */
function addRow(rgba, start, width, channels, factor, paper, sums) {
  let out = 0;
  let left = factor;
  for (let place = start, x = 0; x < width; x++, place += 4) {
    let red = rgba[place];
    let green = rgba[place + 1];
    let blue = rgba[place + 2];
    const alpha = rgba[place + 3];
    if (alpha !== 255) {
      const below = paper * (255 - alpha) + 128;
      red = dividedBy255(red * alpha + below);
      green = dividedBy255(green * alpha + below);
      blue = dividedBy255(blue * alpha + below);
    }
    if (channels === 1) {
      sums[out] += grey(red, green, blue);
    } else {
      sums[out] += red;
      sums[out + 1] += green;
      sums[out + 2] += blue;
    }
    if (--left === 0) {
      left = factor;
      out += channels;
    }
  }
}

/** ITU-R 601, in whole numbers of 2^-16. */
function grey(red, green, blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

function dividedBy255(sum) {
  return (sum + (sum >> 8)) >> 8;
}

/** The grey under what is transparent: more of the background, or what contrasts with a drawing. */
function paperUnder(rgba) {
  const counts = new Uint32Array(256);
  let total = 0;
  for (let place = 0; place < rgba.length; place += 4) {
    if (rgba[place + 3] > 127) {
      counts[grey(rgba[place], rgba[place + 1], rgba[place + 2])]++;
      total++;
    }
  }
  if (total === 0) return 255;
  const level = (rank) => counts.findIndex((count) => (rank -= count) < 0);
  const middle = (level((total - 1) >> 1) + level(total >> 1)) >> 1;
  // Mostly opaque, as a scan with round corners.
  if (total > rgba.length / 8) return middle;
  return middle < 128 ? 255 : 0;
}
