// What the page says, in the language chosen: `?lang=`, else the browser's, else English.

let texts = {};
let chosen = "en";
const listeners = [];

export function speakFrom(all) {
  texts = all;
  const wanted = [new URLSearchParams(location.search).get("lang"), ...(navigator.languages || [navigator.language])];
  const known = wanted.map((tag) => (tag || "").slice(0, 2).toLowerCase()).find((tag) => tag in texts);
  speak(known || "en");
}

export function speak(name) {
  chosen = name;
  document.documentElement.lang = name;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
  for (const listener of listeners) listener();
}

export function spoken() {
  return chosen;
}

export function whenSpoken(listener) {
  listeners.push(listener);
}

// The words under a key, its {fields} filled in.
export function text(key, fields = {}) {
  const words = texts[chosen][key];
  if (words === undefined) throw new Error(`no words for ${key}`);
  return words.replace(/\{(\w+)\}/g, (_, name) => String(fields[name]));
}

// What to say of an error: words of its own where it has their key.
export function told(error) {
  return error.key ? text(error.key) : text("problem", { what: error.message });
}

export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

// Never -0.00, and with the sign that typography has.
export function fixed(value, digits) {
  return value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212");
}

// A number short enough for a cell.
export function short(value, digits = 3) {
  const told = value === 0 || (Math.abs(value) >= 10 ** -digits / 2 && Math.abs(value) < 1e6);
  return told ? fixed(value, digits) : value.toExponential(1).replaceAll("-", "\u2212");
}
