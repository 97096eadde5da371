// Where the page's documents come from: the server beside it, or the file it stands in.

const held = document.getElementById("held");
const inside = held && JSON.parse(held.textContent);

// What the server calls the run that this page was told of: another one at the same address is refused.
let fingerprint = "";
// So many rows go into one request, until the server says that they are too many.
let atOnce = Infinity;

export async function texts() {
  return inside ? inside.texts : (await answered("static/texts.json")).json();
}

export async function model() {
  const described = inside ? inside.run.model : await (await answered("page/model.json")).json();
  fingerprint = described.fingerprint || "";
  return described;
}

export async function samples() {
  return (inside ? inside.run.samples : await (await answered("page/samples.json")).json()).rows;
}

// The weights at the end, or those that the snapshot of an epoch holds.
export async function weights(epoch = null) {
  if (inside) return bytes(inside.run.weights).buffer;
  const url = epoch === null ? "page/weights.bin" : `page/weights/${epoch}.bin`;
  return (await answered(fingerprint ? `${url}?run=${fingerprint}` : url)).arrayBuffer();
}

// The probabilities (N, K) of raw rows (N, D), computed where the network is.
export async function predicted(rows, model) {
  if (rows.length <= atOnce) {
    try {
      return await asked(rows, model);
    } catch (error) {
      if (error.code !== "serve-rows" || rows.length < 2) throw error;
      atOnce = Math.ceil(rows.length / 2);
    }
  }
  const first = await predicted(rows.slice(0, atOnce), model);
  return [...first, ...(await predicted(rows.slice(first.length), model))];
}

async function asked(rows, { classes, divisor, image_shape: shape }) {
  // As the server has it: pixels from 0 to 255, of a picture.
  const kind = divisor === 255 && shape ? "pixels" : "vectors";
  const body = JSON.stringify({ [kind]: rows.map((row) => [...row]) });
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body };
  const answer = await (await answered("predict", request)).json();
  return (answer.predictions || [answer]).map(({ probabilities }) => {
    return Float64Array.from(classes, (name) => probabilities[name]);
  });
}

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

async function answered(url, request = {}) {
  // A server that wants a token was opened with it: the page hands it on.
  const token = new URLSearchParams(location.search).get("token");
  const headers = { ...request.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(url, { ...request, headers });
  if (response.ok) return response;
  const { error, code } = await response.json().catch(() => ({}));
  const key = code === "serve-run-changed" ? "changed" : null;
  throw Object.assign(new Error(error || `${url}: ${response.status}`), { code, key });
}
