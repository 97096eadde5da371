// A sheet of paper of 280 x 280 pixels: strokes by mouse, finger, pen and keyboard, and pictures laid on it.

import { eachFrame } from "./dom.js";

const SIDE = 280;
const THICK = 22;
const STEP = 8;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// `changed()` is called after every change; `penMoved({x, y, down})` where the keyboard moves its pen.
export function makeDrawing(canvas, changed, penMoved) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  // Every state is kept for undo. `origin` is what a state shows and nothing was drawn on: a photo or a sample.
  let states = [{ strokes: [], base: null, origin: null }];
  let pointer = null;
  const pen = { x: SIDE / 2, y: SIDE / 2, down: false };
  const now = () => states.at(-1);

  let painted = false;
  const paintSoon = eachFrame(paint);

  // Painted once a frame, or when somebody looks: a quick pen makes many points between two frames.
  function redraw() {
    painted = false;
    paintSoon();
    changed();
  }

  function paint() {
    if (painted) return;
    painted = true;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    if (now().base) context.drawImage(now().base, 0, 0);
    for (const stroke of now().strokes) ink(stroke);
  }

  function ink(points) {
    context.lineWidth = THICK;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.strokeStyle = "#000";
    context.beginPath();
    context.moveTo(points[0].x, points[0].y);
    // A line from a point to itself, with its round ends, is a dot.
    for (const { x, y } of points.length > 1 ? points.slice(1) : points) context.lineTo(x, y);
    context.stroke();
  }

  function begin(point) {
    states.push({ ...now(), strokes: [...now().strokes, [point]], origin: null });
    redraw();
  }

  function goOn(points) {
    now().strokes.at(-1).push(...points);
    redraw();
  }

  function clear() {
    lift();
    if (isEmpty()) return;
    states.push({ strokes: [], base: null, origin: null });
    redraw();
  }

  function undo() {
    lift();
    if (states.length > 1) states.pop();
    redraw();
  }

  // A picture fitted into the paper; `origin` is what it was made of, until something is drawn on it.
  function show(picture, origin) {
    lift();
    const base = new OffscreenCanvas(SIDE, SIDE);
    const onto = base.getContext("2d");
    const scale = Math.min(SIDE / picture.width, SIDE / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    onto.fillStyle = "#fff";
    onto.fillRect(0, 0, SIDE, SIDE);
    onto.drawImage(picture, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    states = [...states.slice(-20), { strokes: [], base, origin }];
    redraw();
  }

  function isEmpty() {
    return !now().base && !now().strokes.length;
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * SIDE) / box.width, y: ((event.clientY - box.top) * SIDE) / box.height };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    lift();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const between = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    goOn((between.length ? between : [event]).map(place));
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }

  function lift() {
    if (!pen.down) return;
    pen.down = false;
    penMoved(pen);
  }

  function movePen([right, down], step) {
    const clamp = (value) => Math.min(Math.max(value, 0), SIDE);
    Object.assign(pen, { x: clamp(pen.x + right * step), y: clamp(pen.y + down * step) });
    if (pen.down) goOn([{ x: pen.x, y: pen.y }]);
    penMoved(pen);
  }

  canvas.addEventListener("keydown", (event) => {
    const undoing = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey);
    if (!undoing && (event.ctrlKey || event.metaKey || event.altKey)) return;
    if (undoing) undo();
    else if (event.key in MOVES) movePen(MOVES[event.key], event.shiftKey ? 3 * STEP : STEP);
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else if (event.key === "Escape") lift();
    else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) begin({ x: pen.x, y: pen.y });
      penMoved(pen);
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", () => penMoved(pen));
  canvas.addEventListener("blur", () => {
    lift();
    penMoved(null);
  });

  redraw();
  return {
    clear,
    undo,
    show,
    isEmpty,
    origin: () => now().origin,
    pixels() {
      paint();
      return context.getImageData(0, 0, SIDE, SIDE);
    },
  };
}
