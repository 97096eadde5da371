// The same row, answered by the network as it was after each epoch.

import { makeBars, totalText } from "./answer.js";
import { get } from "./dom.js";
import { forward, layersOf, softmax } from "./network.js";
import * as source from "./source.js";
import { percent, text, told } from "./words.js";

// Which epoch's weights the run holds, where they are not the last one's.
export function heldText({ epoch, history }) {
  return epoch === null || epoch === history.length ? "" : text("epochs.held", { epoch, epochs: history.length });
}

export function mountEpochs(model) {
  const slider = get("epoch");
  const bars = makeBars(get("epoch-bars"), model.classes);
  const fetched = new Map();
  let answer = null;
  get("epochs").hidden = !model.snapshots.length;
  if (!model.snapshots.length) return () => {};
  get("epoch-part").hidden = model.engine === "server";
  if (model.engine === "server") return () => (get("epoch-note").textContent = text("epochs.server"));
  slider.max = String(model.snapshots.length - 1);
  // Where the answer's own weights are: early stopping goes back to an earlier epoch.
  slider.value = Math.max(model.snapshots.indexOf(model.epoch), 0);

  function layersAt(epoch) {
    if (!fetched.has(epoch)) {
      const coming = source.weights(epoch).then((buffer) => layersOf(buffer, model.sizes));
      // What failed is asked for again.
      coming.catch(() => fetched.delete(epoch));
      fetched.set(epoch, coming);
    }
    return fetched.get(epoch);
  }

  function nameOf(epoch) {
    if (epoch === 0) return text("epochs.start");
    const row = model.history.find((each) => each.epoch === epoch);
    const accuracy = row && row.validation_accuracy;
    if (accuracy === null || accuracy === undefined) return text("epochs.epoch", { epoch });
    return text("epochs.accuracy", { epoch, accuracy: percent(accuracy) });
  }

  async function render() {
    const epoch = model.snapshots[slider.value];
    get("epoch-note").textContent = heldText(model);
    get("epoch-name").textContent = nameOf(epoch);
    slider.setAttribute("aria-valuetext", nameOf(epoch));
    if (!answer) {
      bars(null);
      get("epoch-total").textContent = text("epochs.none");
      return;
    }
    const { x } = answer;
    try {
      const layers = await layersAt(epoch);
      if (epoch !== model.snapshots[slider.value] || !answer || x !== answer.x) return;
      const probabilities = softmax(forward(x, layers, model.activation).at(-1).values);
      bars(probabilities);
      get("epoch-total").textContent = totalText(probabilities);
    } catch (error) {
      bars(null);
      get("epoch-total").textContent = told(error);
    }
  }

  slider.addEventListener("input", render);
  return (given) => {
    answer = given;
    render();
  };
}
