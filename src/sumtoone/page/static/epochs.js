// The same row, answered by the network as it was after each epoch.

import { makeBars, totalText } from "./answer.js";
import { get } from "./dom.js";
import { forward, layersOf, softmax } from "./network.js";
import * as source from "./source.js";
import { percent, text } from "./words.js";

export function mountEpochs(model) {
  const slider = get("epoch");
  const bars = makeBars(get("epoch-bars"), model.classes);
  const fetched = new Map();
  let answer = null;
  get("epochs").hidden = !model.snapshots.length;
  if (!model.snapshots.length) return () => {};
  slider.max = String(model.snapshots.length - 1);
  slider.value = slider.max;

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
      get("epoch-total").textContent = text("problem", { what: error.message });
    }
  }

  slider.addEventListener("input", render);
  return (given) => {
    answer = given;
    render();
  };
}
