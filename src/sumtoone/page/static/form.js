// A row of numbers as a form: for networks on tables.

import { get, make } from "./dom.js";
import { columnName } from "./inside.js";
import { text } from "./words.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
// So many deviations from the training rows' mean are no value of theirs; from the second on there is a warning.
const REFUSED = 1e6;
const UNUSUAL = 10;
// More inputs than these are one field for numbers with spaces or commas between them.
const MOST_FIELDS = 100;

// Of so many columns the names are listed.
const MOST_NAMES = 2000;
// A number with a decimal comma, or two numbers: in a row with other separators nobody can tell.
const COMMA = /^[+-]?\d*,\d+(e[+-]?\d+)?$/i;

const at = (values, place) => values[values.length > 1 ? place : 0];

// Returns deviations(value, place): how many a value is away from the training rows' mean. A step that was never fitted
// knows nothing of its rows: 0.
function deviationsOf(model) {
  const fitted = model.mean.some((value) => value !== 0) || model.std.some((value) => value !== 1);
  return (value, place) => {
    return fitted ? Math.abs((value / model.divisor - at(model.mean, place)) / at(model.std, place)) : 0;
  };
}

// What is wrong with a word as the value of a column, as {key, fields}; null if nothing is.
function wrongWith(word, place, model, deviations) {
  const fields = { column: columnName(model, place), given: word.slice(0, 40) };
  if (!NUMBER.test(word)) return { key: "entry.number", fields };
  const value = Number(word);
  if (!Number.isFinite(Math.fround(value)) || deviations(value, place) > REFUSED) return { key: "entry.far", fields };
  if (model.divisor === 255 && (value < 0 || value > 255)) return { key: "entry.pixel", fields };
  return null;
}

// The cells of a row. Between two commas, semicolons or tabs there is one, though nothing be in it: without it every value
// behind it would be another column's.
function cellsOf(line) {
  const cells = line.replaceAll("\t", ";").trim().split(/\s*[,;]\s*|\s+/);
  return cells.at(-1) ? cells : cells.slice(0, -1);
}

// A number in as few digits as give it back: of float32, those that float32 can tell.
function written(value) {
  if (value !== Math.fround(value)) return String(value);
  for (let digits = 1; digits < 9; digits += 1) {
    const word = Number(value.toPrecision(digits));
    if (Math.fround(word) === value) return String(word);
  }
  return String(Number(value.toPrecision(9)));
}

export function mountForm(model, changed) {
  const row = get("row");
  const many = model.features > MOST_FIELDS;
  const deviations = deviationsOf(model);
  const fields = Array.from({ length: many ? 1 : model.features }, (_, place) => {
    const id = `value-${place}`;
    const input = make(many ? "textarea" : "input", { id, autocomplete: "off", spellcheck: false });
    input.setAttribute("aria-describedby", `${id}-note`);
    if (!many) input.inputMode = "decimal";
    input.addEventListener("input", () => {
      origin = null;
      changed();
    });
    const note = make("small", { id: `${id}-note` });
    const name = make("label", { htmlFor: id }, many ? "" : columnName(model, place));
    row.append(make("div", { className: "value" }, name, input, note));
    return { input, note, name };
  });
  // Another with each row that is filled in, though it be of the same label.
  let origin = null;
  row.addEventListener("submit", (event) => event.preventDefault());
  get("empty").addEventListener("click", () => fill(null));
  get("averages").addEventListener("click", () => fill(average()));
  if (many && model.columns) {
    get("columns").hidden = false;
    const names = model.columns.slice(0, MOST_NAMES).map((name, place) => `${place + 1}. ${name}`);
    get("column-names").textContent = [...names, ...(model.columns.length > MOST_NAMES ? ["\u2026"] : [])].join(" \u00b7 ");
  }
  get("entry").hidden = false;

  function average() {
    return Array.from({ length: model.features }, (_, place) => {
      const [mean, std] = [at(model.mean, place), at(model.std, place)];
      // As many digits more as the column is far from zero for its deviation.
      const digits = 5 + Math.max(0, Math.ceil(Math.log10(Math.abs(mean) / std)));
      return Number((mean * model.divisor).toPrecision(Math.min(digits, 17)));
    });
  }

  function fill(values, of = null) {
    const words = values === null ? [] : Array.from(values, written);
    if (many) fields[0].input.value = words.join(" ");
    else fields.forEach(({ input }, place) => (input.value = words[place] ?? ""));
    origin = of === null ? null : { label: of };
    changed();
  }

  // {values, label}, or {why, fields}; each field says for itself what is wrong with it.
  function read() {
    const line = many ? fields[0].input.value : "";
    const parts = line.split(/(?:\s|;|,(?=\s|$))+/).filter(Boolean);
    const comma = parts.length > 1 ? parts.find((part) => COMMA.test(part)) : undefined;
    const words = many ? cellsOf(line) : fields.map(({ input }) => input.value.trim());
    const wrongs = words.map((word, place) => {
      if (place >= model.features) return null;
      if (word) return wrongWith(word, place, model, deviations);
      return many ? { key: "entry.missing", fields: { column: columnName(model, place) } } : null;
    });
    const first = comma ? { key: "entry.comma", fields: { given: comma.slice(0, 40) } } : wrongs.find(Boolean);
    fields.forEach(({ input, note, name }, place) => {
      const wrong = many ? first : wrongs[place];
      if (many) name.textContent = text("entry.numbers", { count: model.features });
      input.setAttribute("aria-invalid", String(Boolean(wrong)));
      note.className = wrong ? "wrong" : "";
      note.textContent = wrong ? text(wrong.key, wrong.fields) : unusual(words[place], place);
    });
    if (comma) return { why: first.key, fields: first.fields };
    if (first) return { why: "entry.wrong", fields: { column: first.fields.column } };
    const filled = many ? words.length : words.filter(Boolean).length;
    if (filled !== model.features) return { why: "entry.incomplete", fields: { filled, count: model.features } };
    return { values: Float64Array.from(words, Number), label: origin && origin.label, origin };
  }

  function unusual(word, place) {
    const away = many || !word ? 0 : deviations(Number(word), place);
    return away > UNUSUAL ? text("entry.unusual", { deviations: away.toFixed(0) }) : "";
  }

  return { read, fill };
}
