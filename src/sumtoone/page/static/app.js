// The page: one row goes in, by pen, photo, form or sample, and every part shows what becomes of it.

import { mountAnswer } from "./answer.js";
import { eachFrame, get, paintPixels, whitest } from "./dom.js";
import { makeDrawing } from "./drawing.js";
import { mountEpochs } from "./epochs.js";
import { mountForm } from "./form.js";
import { mountInside } from "./inside.js";
import { forward, largestPlace, layersOf, preprocessed, softmax } from "./network.js";
import { readPhoto, takePhotos } from "./photos.js";
import { prepare } from "./prepare.js";
import { mountSamples, valuesOf } from "./samples.js";
import { mountSoftmax } from "./softmax.js";
import * as source from "./source.js";
import { mountStory } from "./story.js";
import { speak, speakFrom, spoken, text, told, whenSpoken } from "./words.js";

// The smallest that float32 holds, for the logarithm of a probability that a server rounded to 0.
const TINY = 1e-45;

function fail(error) {
  get("problem").hidden = false;
  get("problem").textContent = told(error);
}

// Returns compute(values): a value where the network is in the page, a promise of it where it is at the server.
function engine(model, layers) {
  if (layers) {
    return (values) => {
      const x = preprocessed(values, model);
      const passes = forward(x, layers, model.activation);
      const logits = passes.at(-1).values;
      return { values, x, passes, logits, probabilities: softmax(logits) };
    };
  }
  return async (values) => {
    const [probabilities] = await source.predicted([values], model);
    // Logits up to a number that they share, which softmax does not see.
    const logits = probabilities.map((p) => Math.log(Math.max(p, TINY)));
    return { values, x: preprocessed(values, model), passes: null, logits, probabilities };
  };
}

// What somebody drew, laid on the paper or chose, as {values, label, origin} or {why}.
function mountDrawing(model, changed) {
  const ofDigits = model.handwriting && model.classes.every((name) => /^\d$/.test(name));
  const pen = get("pen");
  const drawing = makeDrawing(get("canvas"), changed, (place) => {
    pen.hidden = place === null;
    if (place === null) return;
    pen.style.left = `${(100 * place.x) / 280}%`;
    pen.style.top = `${(100 * place.y) / 280}%`;
    pen.classList.toggle("down", place.down);
  });
  let note = null;
  const say = (key) => {
    note = key;
    get("photo-note").textContent = note ? text(note) : "";
  };
  get("undo").addEventListener("click", drawing.undo);
  get("clear").addEventListener("click", drawing.clear);
  takePhotos(get("photo"), get("paper"), async (file) => {
    say("photo.reading");
    try {
      const { picture, rgba, width, height } = await readPhoto(file);
      const values = prepare(rgba, width, height, model.image_shape, model.handwriting);
      drawing.show(picture, { values });
      say(values ? null : "photo.no-ink");
    } catch (error) {
      say(error.message.startsWith("photo.") ? error.message : "photo.unreadable");
    }
  });
  get("drawing").hidden = false;

  function read() {
    const { data, width, height } = drawing.pixels();
    get("drawing-title").textContent = text(ofDigits ? "draw.title" : "draw.title-picture");
    if (drawing.isEmpty()) return { why: "draw.empty", fields: { count: model.classes.length } };
    const origin = drawing.origin();
    const values = origin ? origin.values : prepare(data, width, height, model.image_shape, model.handwriting);
    return values ? { values, label: origin && origin.label, origin } : { why: "draw.no-ink" };
  }

  function fill(values, label) {
    const canvas = document.createElement("canvas");
    paintPixels(canvas, values, model.image_shape, { ink: model.handwriting, most: whitest(model, values) });
    drawing.show(canvas, { values, label });
    say(null);
  }

  return { read, fill, sayAgain: () => say(note) };
}

// What stands beside the answer in a batch of two: a sample, or where there is none the average row.
async function besides(model, rows, compute) {
  const row = rows.length ? rows[Math.floor(rows.length / 3)] : null;
  const average = () => Float64Array.from({ length: model.features }, (_, i) => model.divisor * model.mean[model.mean.length > 1 ? i : 0]);
  const { logits } = await compute(row ? valuesOf(row) : average());
  const name = () => (row ? text("wrongly.sample", { label: row.label }) : text("wrongly.average"));
  return { logits, name };
}

async function start() {
  speakFrom(await source.texts());
  mountLanguages();
  const model = await source.model();
  const layers = model.engine === "page" ? layersOf(await source.weights(), model.sizes) : null;
  const rows = model.samples ? await source.samples() : [];
  const compute = engine(model, layers);
  const second = await besides(model, rows, compute);
  const drawn = model.image_shape !== null && model.divisor !== 1;

  const updateSoon = eachFrame(() => update());
  // Busy until it shows the answer to what stands on the sheet.
  const busy = (is) => get("answer").setAttribute("aria-busy", String(is));
  // Changes of what stands there: an answer to what stood there before is not shown.
  let asked = 0;
  const changed = () => {
    asked += 1;
    busy(true);
    updateSoon();
  };
  const input = drawn ? mountDrawing(model, changed) : mountForm(model, changed);
  const renderAnswer = mountAnswer(model);
  const others = [mountInside(model, layers), mountSoftmax(model, second), mountEpochs(model)];
  const story = mountStory(model);

  function render(answer, why = "") {
    renderAnswer(answer, why);
    for (const other of others) other(answer);
    busy(false);
  }

  // Of several questions to a server, the last one's answer counts, and only one is on its way.
  let waiting = false;
  function update() {
    const { values, why, fields, label, origin } = input.read();
    if (!values) return render(null, text(why, fields));
    const finish = (answer) => {
      if (!answer.probabilities.every(Number.isFinite)) return render(null, text("answer.overflow"));
      return render({ ...answer, origin, label: label ? model.classes.indexOf(label) : null });
    };
    if (layers) return finish(compute(values));
    return waiting ? undefined : ask(values, finish);
  }

  async function ask(values, finish) {
    const number = asked;
    waiting = true;
    const show = await compute(values).then((answer) => () => finish(answer), (error) => () => {
      render(null, told(error));
    });
    waiting = false;
    if (number === asked) show();
    else changed();
  }

  const describe = () => {
    document.title = `${model.name} \u00b7 sumtoone`;
    const network = model.sizes ? `${model.sizes.join("-")} \u00b7 ${model.activation}` : text("at-server");
    get("run").textContent = `${model.name} \u00b7 ${network}`;
    story();
    if (input.sayAgain) input.sayAgain();
    changed();
  };
  get("stage").hidden = false;
  whenSpoken(describe);
  speak(spoken());

  if (rows.length) {
    const answered = async (some) => (layers ? some.map((values) => compute(values).probabilities) : source.predicted(some, model));
    const shown = mountSamples(model, rows, answered, ({ values, label }) => {
      input.fill(values, label);
      get("stage").scrollIntoView({ block: "nearest" });
    });
    shown.then(whenSpoken, fail);
    await shown;
  }
  return { model, compute };
}

function mountLanguages() {
  const buttons = document.querySelectorAll("[data-language]");
  for (const button of buttons) button.addEventListener("click", () => speak(button.dataset.language));
  const press = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.language === spoken()));
  };
  whenSpoken(press);
  press();
}

const ready = start();
ready.catch(fail);

// The page's own interface, for consoles and tests: raw values of one row in, what the page would show out.
window.sumtoone = {
  ready: ready.then(() => undefined),
  async predict(values) {
    const { model, compute } = await ready;
    const { probabilities, logits } = await compute(values);
    const named = Object.fromEntries(model.classes.map((name, k) => [name, probabilities[k]]));
    return { label: model.classes[largestPlace(probabilities)], probabilities: named, logits: [...logits] };
  },
};
