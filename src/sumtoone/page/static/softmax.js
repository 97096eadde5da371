// Softmax number by number, three ways to get it wrong, and the gradient of the loss held against differences.

import { restOf, shownPlaces } from "./answer.js";
import { fillTable, get, make } from "./dom.js";
import { gradients, greatest, largestPlace, softmax, sum, WAYS } from "./network.js";
import { fixed, short, text } from "./words.js";

const CODE = {
  right: "e / e.sum(dim=1, keepdim=True)",
  everything: "e / e.sum()",
  axis: "e / e.sum(dim=0)",
  twice: "softmax(softmax(x, dim=1), dim=1)",
};

// These set one row's logits against another's: they do see a number that a row's logits share.
const NEED_LOGITS = ["everything", "axis"];

const small = (value) => (value ? value.toExponential(1).replace("-", "\u2212") : "0");

// `second` is what stands in a batch beside the answer: {logits, name()}; the answer's own logits, {label} of a sample.
export function mountSoftmax(model, second) {
  let answer = null;
  let way = "right";
  let truth = null;
  const temperature = get("temperature");

  for (const name of Object.keys(WAYS)) {
    const disabled = model.engine === "server" && NEED_LOGITS.includes(name);
    const input = make("input", { type: "radio", name: "way", value: name, checked: name === way, disabled });
    input.addEventListener("change", () => {
      way = name;
      renderWay();
    });
    get("ways").append(make("label", { className: "check" }, input, make("span", { "data-text": `way.${name}` })));
  }
  get("truth").append(...model.classes.map((name, value) => make("option", { value }, name)));
  get("truth").addEventListener("change", () => {
    truth = Number(get("truth").value);
    renderGradient();
  });
  temperature.addEventListener("input", () => renderSteps());

  const places = () => shownPlaces(answer.probabilities);
  // What the classes that are not shown add up to.
  const rest = (values) => restOf(values, places());
  const others = () => model.classes.length - places().length;

  function renderSteps() {
    const degrees = 10 ** (temperature.value / 100);
    const told = degrees.toFixed(2);
    get("temperature-name").textContent = text("softmax.temperature", { value: told });
    temperature.setAttribute("aria-valuetext", told);
    const { logits } = answer;
    const largest = greatest(logits);
    const shifted = logits.map((logit) => (logit - largest) / degrees);
    const exponentials = shifted.map(Math.exp);
    const total = sum(exponentials);
    const p = softmax(logits, degrees);
    const head = ["class", "logit", "shifted", "exponential", "quotient"].map((name) => text(`softmax.${name}`));
    const rows = places().map((k) => {
      return [model.classes[k], short(logits[k], 2), short(shifted[k], 2), short(exponentials[k], 4), short(p[k], 4)];
    });
    if (others()) {
      rows.push([text("softmax.others", { count: others() }), "", "", short(rest(exponentials), 4), short(rest(p), 4)]);
    }
    const foot = [[text("softmax.sum"), "", "", short(total, 4), short(sum(p), 4)]];
    fillTable(get("steps"), text("softmax.caption"), head, rows, foot);
    [...get("steps").tBodies[0].rows].forEach((row, place) => row.classList.toggle("chosen", places()[place] === largestPlace(p)));
  }

  function renderWay() {
    get("way-code").textContent = CODE[way];
    get("way-verdict").textContent = text(`way.${way}-verdict`);
    const batch = [answer.logits, second.logits];
    const made = WAYS[way](batch);
    const head = [text("softmax.class"), text("wrongly.this"), second.name()];
    const rows = places().map((k) => [model.classes[k], ...made.map((row) => short(row[k], 4))]);
    if (others()) rows.push([text("softmax.others", { count: others() }), ...made.map((row) => short(rest(row), 4))]);
    const foot = [[text("wrongly.sum"), ...made.map((row) => short(sum(row), 4))]];
    fillTable(get("batch"), text("wrongly.title"), head, rows, foot);
    [...get("batch").tFoot.rows[0].cells].slice(1).forEach((cell, place) => {
      cell.classList.toggle("wrong", Math.abs(sum(made[place]) - 1) > 1e-9);
    });
  }

  function renderGradient() {
    const chosen = truth ?? answer.label ?? largestPlace(answer.probabilities);
    get("truth").value = String(chosen);
    const { formula, numeric, step } = gradients(answer.logits, chosen);
    const difference = formula.map((value, k) => Math.abs(value - numeric[k]));
    const shown = places().includes(chosen) ? places() : [chosen, ...places()];
    const head = [text("softmax.class"), text("gradient.formula"), text("gradient.numeric"), text("gradient.difference")];
    const rows = shown.map((k) => {
      const name = k === chosen ? text("gradient.true-class", { name: model.classes[k] }) : model.classes[k];
      return [name, short(formula[k], 6), short(numeric[k], 6), small(difference[k])];
    });
    const foot = [[text("softmax.sum"), fixed(sum(formula), 6), fixed(sum(numeric), 6), ""]];
    fillTable(get("gradient"), text("gradient.title"), head, rows, foot);
    const fields = { most: small(greatest(difference)), step: String(step) };
    get("gradient-verdict").textContent = text("gradient.verdict", fields);
  }

  return (given) => {
    if (!given || !answer || given.origin !== answer.origin) truth = null;
    answer = given;
    for (const part of ["softmax", "wrongly", "gradients"]) get(part).hidden = !answer;
    if (!answer) return;
    get("softmax-note").textContent = model.engine === "page" ? "" : text("softmax.note-server");
    get("ways-note").textContent = model.engine === "page" ? "" : text("wrongly.note-server");
    renderSteps();
    renderWay();
    renderGradient();
  };
}
