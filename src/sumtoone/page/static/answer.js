// The answer: a bar for each class, all of them as one strip, and their sum.

import { get, make, MUCH_BRIGHTER } from "./dom.js";
import { largestPlace, sum } from "./network.js";
import { percent, text } from "./words.js";

// Of more classes than the first, the page shows the second: the most probable.
const MOST_SHOWN = 30;
const SHOWN_OF_MANY = 12;
const PAUSE_MS = 500;

// The places of the classes to show, and whether these are all.
export function shownPlaces(probabilities) {
  const places = [...probabilities.keys()];
  if (places.length <= MOST_SHOWN) return places;
  return places.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, SHOWN_OF_MANY);
}

// What the values at all other places add up to: of a difference of two sums, rounding would leave more, or less than 0.
export function restOf(values, shown) {
  const without = new Set(shown);
  return sum(values.filter((_, place) => !without.has(place)));
}

// Returns render(probabilities or null) for a list of bars.
export function makeBars(list, classes) {
  const count = classes.length <= MOST_SHOWN ? classes.length : SHOWN_OF_MANY;
  const rows = Array.from({ length: count }, (_, place) => {
    const [name, fill, value] = ["name", "fill", "value"].map((className) => make("span", { className }));
    name.textContent = classes[place];
    const item = make("li", {}, name, make("span", { className: "track", "aria-hidden": "true" }, fill), value);
    list.append(item);
    return { item, name, fill, value };
  });
  return (probabilities) => {
    const places = probabilities ? shownPlaces(probabilities) : [];
    const best = probabilities ? largestPlace(probabilities) : -1;
    rows.forEach(({ item, name, fill, value }, row) => {
      const place = places[row] ?? row;
      const p = probabilities ? probabilities[place] : 0;
      name.textContent = classes[place];
      fill.style.transform = `scaleX(${p})`;
      value.textContent = probabilities ? percent(p) : "\u2013";
      item.classList.toggle("chosen", place === best);
    });
  };
}

// What stands below the bars: their sum, and what the bars leave out.
export function totalText(probabilities) {
  const shown = shownPlaces(probabilities);
  const fields = { count: shown.length, total: sum(probabilities).toFixed(6) };
  if (shown.length === probabilities.length) return text("answer.total", fields);
  const rest = restOf(probabilities, shown).toFixed(6);
  return text("answer.total-many", { ...fields, others: probabilities.length - shown.length, rest });
}

// What is unusual about the pixels of a row; nothing where the training rows are not there to tell.
function brightText({ divisor, largest }, values) {
  if (divisor === 1 || largest === null) return "";
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  return most > MUCH_BRIGHTER * largest ? text("answer.bright", { largest, most }) : "";
}

// Returns render(answer or null, why there is none).
export function mountAnswer(model) {
  const { classes } = model;
  const bars = makeBars(get("bars"), classes);
  const strip = get("strip");
  const count = classes.length <= MOST_SHOWN ? classes.length : SHOWN_OF_MANY + 1;
  strip.append(...Array.from({ length: count }, () => make("span")));
  let timer = 0;
  let last = "";

  // Once the pen rests: a voice cannot follow every stroke.
  function say(words) {
    clearTimeout(timer);
    if (words === last) return;
    timer = setTimeout(() => {
      last = words;
      get("spoken").textContent = words;
    }, PAUSE_MS);
  }

  return (answer, why) => {
    bars(answer && answer.probabilities);
    get("answer").classList.toggle("none", !answer);
    get("answer-note").textContent = answer ? brightText(model, answer.values) : "";
    if (!answer) {
      get("best").textContent = why;
      get("total").textContent = "";
      strip.hidden = true;
      say(why);
      return;
    }
    const { probabilities } = answer;
    const best = largestPlace(probabilities);
    const share = percent(probabilities[best]);
    get("best").replaceChildren(make("b", { className: classes[best].length > 3 ? "long" : "" }, classes[best]), make("span", {}, share));
    get("total").textContent = totalText(probabilities);
    strip.hidden = false;
    const shown = shownPlaces(probabilities);
    [...strip.children].forEach((part, row) => {
      const p = row < shown.length ? probabilities[shown[row]] : restOf(probabilities, shown);
      part.style.width = `${100 * p}%`;
      part.classList.toggle("chosen", shown[row] === best);
    });
    say(text("answer.spoken", { label: classes[best], share }));
  };
}
