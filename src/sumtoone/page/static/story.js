// How the run was trained and judged: curves as SVG with a table beside them, and the confusion matrix as a table.

import { fillTable, get, make } from "./dom.js";
import { heldText } from "./epochs.js";
import { greatest, least } from "./network.js";
import { percent, text } from "./words.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP] = [320, 200, 54, 28, 10, 12];
const MOST_CLASSES = 30;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// One chart of two lines over the epochs; `show(value)` writes a value of the vertical axis.
function chart(title, history, names, [low, high], show) {
  const first = history[0].epoch;
  const last = history.at(-1).epoch;
  const x = (epoch) => LEFT + ((WIDTH - LEFT - RIGHT) * (last > first ? epoch - first : 0.5)) / Math.max(last - first, 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low || 1));
  const parts = [0, 0.5, 1].map((share) => {
    const value = low + share * (high - low);
    const line = svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "rule" });
    return [line, svg("text", { x: LEFT - 6, y: y(value) + 4, class: "end" }, show(value))];
  });
  const ticks = [...new Set([first, Math.round((first + last) / 2), last])].map((epoch) => {
    return svg("text", { x: x(epoch), y: HEIGHT - 8, class: "middle" }, String(epoch));
  });
  const lines = names.flatMap((name, place) => {
    const points = history.filter((row) => row[name] !== null).map((row) => `${x(row.epoch)},${y(row[name])}`);
    if (points.length === 1) {
      const [cx, cy] = points[0].split(",");
      return [svg("circle", { cx, cy, r: 4, class: `dot line-${place}` })];
    }
    return [svg("polyline", { points: points.join(" "), class: `line line-${place}` })];
  });
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, ...parts.flat(), ...ticks, ...lines);
  const legend = make("p", { className: "legend" }, ...names.map((name, place) => {
    return make("span", {}, make("i", { className: `key line-${place}` }), text(name.startsWith("train") ? "story.train" : "story.validation"));
  }));
  return make("figure", {}, make("figcaption", {}, title), drawn, legend);
}

function renderCurves(area, history) {
  area.replaceChildren();
  if (!history.length) return;
  const losses = history.flatMap((row) => [row.train_loss, row.validation_loss]).filter((value) => value !== null);
  const hits = history.flatMap((row) => [row.train_accuracy, row.validation_accuracy]).filter((value) => value !== null);
  const lowest = Math.floor(Math.min(least(hits), 0.99) * 10) / 10;
  const charts = make("div", { className: "charts" });
  charts.append(
    chart(text("story.loss"), history, ["train_loss", "validation_loss"], [0, Math.max(greatest(losses), 0.01)], (value) => value.toFixed(2)),
    chart(text("story.accuracy"), history, ["train_accuracy", "validation_accuracy"], [lowest, 1], percent),
  );
  const names = ["train_loss", "validation_loss", "train_accuracy", "validation_accuracy"];
  const table = make("table");
  const head = ["epoch", ...names].map((name) => text(`story.${name.replace("_", "-")}`));
  const told = (value, name) => (value === null ? "\u2013" : name.endsWith("loss") ? value.toFixed(4) : percent(value));
  fillTable(table, text("story.numbers"), head, history.map((row) => [row.epoch, ...names.map((name) => told(row[name], name))]));
  const scroll = make("div", { className: "scroll", role: "group", tabindex: "0", "aria-label": text("story.numbers") }, table);
  area.append(charts, make("details", {}, make("summary", {}, text("story.numbers")), scroll));
}

function renderConfusion(area, classes, judged) {
  area.replaceChildren();
  get("confusion-lead").textContent = text("confusion.lead", { rows: judged.rows, accuracy: percent(judged.accuracy) });
  const counts = judged.confusion;
  if (!counts || classes.length > MOST_CLASSES) {
    const worst = (judged.confusions || []).slice(0, 10);
    area.append(make("ol", {}, ...worst.map((pair) => make("li", {}, text("confusion.pair", pair)))));
    return;
  }
  const table = make("table", { className: "confusion" });
  fillTable(table, text("confusion.title"), [text("confusion.corner"), ...classes], counts.map((row, i) => [classes[i], ...row.map(String)]));
  counts.forEach((row, i) => {
    const total = Math.max(row.reduce((a, b) => a + b, 0), 1);
    row.forEach((count, j) => {
      const cell = table.tBodies[0].rows[i].cells[j + 1];
      // Of a few errors in a hundred one should see something: the root of the share.
      cell.style.setProperty("--strength", Math.sqrt(count / total));
      cell.classList.add(i === j ? "right" : "off");
      if (!count) cell.classList.add("zero");
    });
  });
  area.append(make("div", { className: "scroll", role: "group", tabindex: "0", "aria-label": text("confusion.title") }, table));
}

export function mountStory(model) {
  const { history, classes, metrics } = model;
  const judged = metrics.test && typeof metrics.test.accuracy === "number" ? metrics.test : null;
  get("story").hidden = !history.length;
  get("judged").hidden = !judged;
  return () => {
    get("story-note").textContent = heldText(model);
    renderCurves(get("curves"), history);
    if (judged) renderConfusion(get("confusion"), classes, judged);
  };
}
