// Where the page's documents come from: the server beside it, or the file it stands in.

const held = document.getElementById("held");
const inside = held && JSON.parse(held.textContent);

export function standsAlone() {
  return inside !== null;
}

export async function texts() {
  return inside ? inside.texts : (await answered("static/texts.json")).json();
}

export async function model() {
  return inside ? inside.run.model : (await answered("page/model.json")).json();
}

export async function samples() {
  return (inside ? inside.run.samples : await (await answered("page/samples.json")).json()).rows;
}

// The weights at the end, or those that the snapshot of an epoch holds.
export async function weights(epoch = null) {
  if (inside) return bytes(inside.run.weights).buffer;
  return (await answered(epoch === null ? "page/weights.bin" : `page/weights/${epoch}.bin`)).arrayBuffer();
}

// The probabilities (N, K) of raw rows (N, D), computed where the network is.
export async function predicted(rows, { classes, divisor }) {
  const body = JSON.stringify({ [divisor === 1 ? "vectors" : "pixels"]: rows.map((row) => [...row]) });
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
  const told = await response.json().catch(() => ({}));
  throw new Error(told.error || `${url}: ${response.status}`);
}
