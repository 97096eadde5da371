// Rows of the data set's test split: to try, and to see where the network is wrong.

import { get, make, paintPixels, roving, whitest } from "./dom.js";
import { largestPlace } from "./network.js";
import * as source from "./source.js";
import { text } from "./words.js";

export function valuesOf(row) {
  return row.values ? Float64Array.from(row.values) : source.bytes(row.pixels);
}

// `answered(rows of values)` gives their probabilities; `choose({values, label, index})` shows one.
export async function mountSamples(model, rows, answered, choose) {
  const grid = get("grid");
  const items = rows.map(({ index, label, ...row }) => ({ index, label, values: valuesOf(row), predicted: null }));
  const stop = roving(grid);
  grid.classList.toggle("words", model.classes.some((name) => name.length > 3));
  for (const item of items) {
    item.button = make("button", { type: "button", className: "sample" });
    if (model.image_shape) {
      const canvas = make("canvas", { "aria-hidden": "true" });
      paintPixels(canvas, item.values, model.image_shape, { ink: model.handwriting, most: whitest(model, item.values) });
      item.button.append(canvas);
    }
    item.caption = make("span");
    item.button.append(item.caption);
    item.button.addEventListener("click", () => choose(item));
    grid.append(item.button);
  }

  function render() {
    const onlyWrong = get("wrong").checked;
    const wrong = items.filter(({ label, predicted }) => predicted !== null && predicted !== label);
    for (const { button, caption, label, predicted, index } of items) {
      const isWrong = predicted !== null && predicted !== label;
      button.hidden = onlyWrong && !isWrong;
      button.classList.toggle("wrong", isWrong);
      caption.textContent = isWrong ? `${label} \u2192 ${predicted}` : label;
      button.setAttribute("aria-label", text(isWrong ? "samples.row-wrong" : "samples.row", { index, label, predicted }));
    }
    const known = items.every(({ predicted }) => predicted !== null);
    const fields = { rows: items.length, wrong: wrong.length };
    get("samples-lead").textContent = text(known ? "samples.lead" : "samples.lead-waiting", fields);
    if (!grid.contains(document.activeElement) && items.some(({ button }) => !button.hidden)) stop();
  }

  get("wrong").addEventListener("change", render);
  get("samples").hidden = false;
  render();
  // A few at a time: the page draws in between.
  for (let start = 0; start < items.length; start += 20) {
    const some = items.slice(start, start + 20);
    const probabilities = await answered(some.map(({ values }) => values));
    some.forEach((item, place) => {
      item.predicted = model.classes[largestPlace(probabilities[place])];
    });
    await new Promise((resume) => setTimeout(resume));
  }
  render();
  return render;
}
