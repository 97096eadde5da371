// Small things for building a page. Styles go through CSSOM, for the page's policy allows no `style` attribute.

import { greatest } from "./network.js";

export const get = (id) => document.getElementById(id);

export function make(tag, { style = {}, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  element.append(...children);
  return element;
}

// A table of texts: a head, rows that each begin with their heading, and a foot of totals. Columns after the first hold numbers.
export function fillTable(table, caption, head, rows, foot = null) {
  const line = (cells, kind) => {
    const first = make("th", { scope: kind === "head" ? "col" : "row" }, cells[0]);
    const others = cells.slice(1).map((cell) => {
      return kind === "head" ? make("th", { scope: "col" }, cell) : make("td", {}, cell);
    });
    return make("tr", {}, first, ...others);
  };
  table.replaceChildren(
    make("caption", { className: "unseen" }, caption),
    make("thead", {}, line(head, "head")),
    make("tbody", {}, ...rows.map((cells) => line(cells, "row"))),
    ...(foot ? [make("tfoot", {}, ...foot.map((cells) => line(cells, "row")))] : []),
  );
}

// Calls back at most once a frame, however often it is asked, and rests after a call for as long as that took: in between
// the page draws the pen's line and hears its next points.
export function eachFrame(callback) {
  let asked = false;
  let rested = 0;
  function run() {
    asked = false;
    const begun = performance.now();
    callback();
    rested = 2 * performance.now() - begun;
  }
  return () => {
    if (asked) return;
    asked = true;
    const wait = rested - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(run), wait);
    else requestAnimationFrame(run);
  };
}

// Values as a picture: strong where they are large, one colour above zero and another below.
export function paintSigned(canvas, values, height, width) {
  const most = greatest(values.map(Math.abs));
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i += 1) {
    const [red, green, blue] = values[i] < 0 ? [214, 90, 28] : [52, 112, 214];
    pixels.data.set([red, green, blue, most > 0 ? (255 * Math.abs(values[i])) / most : 0], 4 * i);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Pixels that go so many times further than those of the training rows are of another kind.
export const MUCH_BRIGHTER = 1.25;

// The value of a picture that is white: its own largest, but of pixels at least the largest of the training rows.
export function whitest({ divisor, largest }, values) {
  const least = divisor === 1 ? 0 : largest && largest * MUCH_BRIGHTER < 255 ? largest : 255;
  return values.reduce((most, value) => Math.max(most, value), least) || 1;
}

// Pixels (h, w) or (h, w, c) as a picture; `ink` turns bright ink on black into dark ink on white.
export function paintPixels(canvas, values, [height, width, channels = 1], { ink = false, most = 255 } = {}) {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      const value = (255 * values[i * channels + (channels === 3 ? c : 0)]) / most;
      pixels.data[4 * i + c] = ink ? 255 - value : value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// One stop for the Tab key in a group of many buttons; arrows, Home and End go on from there.
export function roving(group) {
  const shown = () => [...group.querySelectorAll("button")].filter((button) => !button.hidden);
  const stopAt = (button) => {
    for (const other of group.querySelectorAll("button")) other.tabIndex = other === button ? 0 : -1;
  };
  group.addEventListener("focusin", ({ target }) => stopAt(target));
  group.addEventListener("keydown", (event) => {
    const buttons = shown();
    const place = buttons.indexOf(document.activeElement);
    const next = buttons.findIndex(({ offsetTop }) => offsetTop > buttons[0].offsetTop);
    const columns = next < 0 ? buttons.length : next;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -place };
    steps.End = buttons.length - 1 - place;
    if (place < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const target = buttons[place + steps[event.key]];
    if (target) target.focus();
  });
  return () => stopAt(shown()[0]);
}
