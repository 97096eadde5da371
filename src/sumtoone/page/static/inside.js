// The network's own view: what it is given, what each layer makes of it, and the weights that lead to a unit.

import { fillTable, get, make, paintPixels, paintSigned, roving, whitest } from "./dom.js";
import { greatest, least } from "./network.js";
import { short, text } from "./words.js";

// Cells of one layer that are shown at most, and inputs that are told one by one.
const MOST_CELLS = 512;
const MOST_TOLD = 32;

export function mountInside(model, layers) {
  const area = get("layers");
  const shape = model.image_shape;
  const picture = make("canvas", { className: "picture", role: "img" });
  const inputCaption = make("figcaption");
  area.append(make("figure", { className: "seen", hidden: !shape }, inputCaption, picture));
  const blocks = (layers || []).map((layer, place) => block(layer, place));
  let chosen = null;
  let answer = null;

  function block(layer, place) {
    const caption = make("figcaption");
    const cells = make("div", { className: "cells", role: "group" });
    const buttons = Array.from({ length: Math.min(layer.units, MOST_CELLS) }, (_, unit) => {
      const button = make("button", { type: "button", className: "cell" });
      if (place === layers.length - 1) button.append(make("span", {}, model.classes[unit]));
      button.addEventListener("click", () => choose(place, unit));
      button.addEventListener("focus", () => name(button, place, unit));
      return button;
    });
    cells.append(...buttons);
    area.append(make("figure", { className: "layer" }, caption, cells));
    roving(cells)();
    return { layer, caption, cells, buttons };
  }

  const isLast = (place) => place === blocks.length - 1;
  const layerName = (place) => (isLast(place) ? text("inside.last") : text("inside.layer", { number: place + 1 }));
  const unitName = (place, unit) => (isLast(place) ? model.classes[unit] : String(unit + 1));

  function name(button, place, unit) {
    const value = answer ? short(answer.passes[place].values[unit]) : "\u2013";
    const fields = { layer: layerName(place), unit: unitName(place, unit), value };
    button.setAttribute("aria-label", text("inside.cell", fields));
  }

  function choose(place, unit) {
    const before = chosen && blocks[chosen.place].buttons[chosen.unit];
    if (before) before.removeAttribute("aria-current");
    const same = chosen && chosen.place === place && chosen.unit === unit;
    chosen = same ? null : { place, unit };
    if (chosen) blocks[place].buttons[unit].setAttribute("aria-current", "true");
    renderUnit();
  }

  function renderLayer({ layer, caption, cells, buttons }, place) {
    const values = answer ? answer.passes[place].values : new Float64Array(layer.units);
    const most = greatest(values.map(Math.abs)) || 1;
    buttons.forEach((button, unit) => {
      button.style.setProperty("--strength", Math.abs(values[unit]) / most);
      button.classList.toggle("below", values[unit] < 0);
    });
    cells.classList.toggle("named", isLast(place));
    const fields = { layer: layerName(place), units: layer.units, activation: model.activation };
    fields.active = values.filter((value) => value > 0).length;
    const words = [text(isLast(place) ? "inside.logits" : "inside.units", fields)];
    if (answer && !isLast(place)) words.push(text("inside.active", fields));
    if (layer.units > buttons.length) words.push(text("inside.first", { count: buttons.length }));
    caption.textContent = words.join(" ");
    cells.setAttribute("aria-label", caption.textContent);
  }

  function renderUnit() {
    const panel = get("unit");
    panel.hidden = chosen === null;
    if (!chosen) return;
    const { place, unit } = chosen;
    const { inputs, weight, bias } = blocks[place].layer;
    const into = [...weight.subarray(unit * inputs, (unit + 1) * inputs)];
    const given = answer && (place ? answer.passes[place - 1].values : answer.x);
    const heading = make("h3", {}, text("inside.unit", { layer: layerName(place), unit: unitName(place, unit) }));
    const told = { bias: short(bias[unit]), activation: model.activation };
    let words = text("inside.bias", told);
    if (answer) {
      Object.assign(told, { sum: short(answer.passes[place].sums[unit]), value: short(answer.passes[place].values[unit]) });
      words = text(isLast(place) ? "inside.sum-last" : "inside.sum", told);
    }
    const parts = given ? into.map((value, i) => value * given[i]) : null;
    panel.replaceChildren(heading, make("p", {}, words));
    if (place === 0 && !shape && inputs <= MOST_TOLD) panel.append(toldTable(into, parts));
    else panel.append(signed("inside.weights", into, place), ...(parts ? [signed("inside.parts", parts, place)] : []));
  }

  function toldTable(into, parts) {
    const table = make("table");
    const head = [text("inside.input"), text("inside.weights"), ...(parts ? [text("inside.parts")] : [])];
    const rows = into.map((value, i) => [columnName(model, i), short(value), ...(parts ? [short(parts[i])] : [])]);
    fillTable(table, text("inside.weights"), head, rows);
    return table;
  }

  function signed(key, values, place) {
    const pictured = place === 0 && shape;
    const [height, width, shown] = pictured ? asPicture(values) : asBlock(values);
    const canvas = make("canvas", { className: pictured ? "picture" : "picture blocky", role: "img" });
    canvas.style.aspectRatio = `${width} / ${height}`;
    paintSigned(canvas, shown, height, width);
    const told = pictured ? shown : values;
    const range = { least: short(least(told)), most: short(greatest(told)) };
    const added = pictured && shape.length === 3 && shape[2] > 1;
    const words = added ? text("inside.added", { what: text(key), channels: shape[2] }) : text(key);
    canvas.setAttribute("aria-label", text("inside.range", { what: words, ...range }));
    return make("figure", {}, make("figcaption", {}, words, make("small", {}, `${range.least} \u2026 ${range.most}`)), canvas);
  }

  // The weights of a picture's channels added: (h, w).
  function asPicture(values) {
    const [height, width, channels = 1] = shape;
    const each = Array.from({ length: height * width }, (_, i) => {
      return values.slice(i * channels, (i + 1) * channels).reduce((total, value) => total + value, 0);
    });
    return [height, width, each];
  }

  function asBlock(values) {
    const width = Math.ceil(Math.sqrt(values.length * 2));
    const height = Math.ceil(values.length / width);
    return [height, width, [...values, ...new Array(height * width - values.length).fill(0)]];
  }

  return (given) => {
    answer = given && given.passes ? given : null;
    get("inside").hidden = !shape && !layers;
    get("inside-lead").textContent = text(layers ? "inside.lead" : "inside.lead-server");
    if (shape) {
      const size = shape.slice(0, 2).join("\u2009\u00d7\u2009");
      const none = text("inside.no-picture", { size });
      inputCaption.textContent = given ? text(model.handwriting ? "inside.prepared" : "inside.scaled", { size }) : none;
      picture.setAttribute("aria-label", given ? text("inside.picture", { size }) : none);
      if (given) paintPixels(picture, given.values, shape, { most: whitest(model, given.values) });
      // A canvas whose size is set is empty.
      else [picture.height, picture.width] = shape;
    }
    blocks.forEach(renderLayer);
    blocks.forEach(({ buttons }, place) => buttons.forEach((button, unit) => {
      if (button.dataset.named !== document.documentElement.lang || button === document.activeElement) {
        button.dataset.named = document.documentElement.lang;
        const fields = { layer: layerName(place), unit: unitName(place, unit) };
        button.setAttribute("aria-label", text("inside.cell-name", fields));
        if (button === document.activeElement) name(button, place, unit);
      }
    }));
    renderUnit();
  };
}

export function columnName(model, place) {
  return model.columns ? model.columns[place] : `x${place + 1}`;
}
