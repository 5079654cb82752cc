// The page: the open frame, the view of it, and the keys.

import { ask, connection, drawingOf, framePath } from "./server.js";
import { finish } from "./finish.js";
import { listenToKeys } from "./keys.js";
import { Looks } from "./looks.js";
import { Marks } from "./marks.js";
import { Point } from "./point.js";
import { Preview } from "./preview.js";
import { Queue, nameOf } from "./queue.js";
import { Saving } from "./saving.js";
import { asLabel, movements } from "./canvas/ink.js";
import { Overview } from "./canvas/overview.js";
import { Stage } from "./canvas/stage.js";
import { Trial } from "./trial.js";

const at = (selector) => document.querySelector(selector);
const THICKER = 1.25;
const GONE = "The program does not answer; is it still running? This browser keeps the strokes and sends them when it answers.";
const stage = new Stage(heard, () => author() || "somebody");
const looks = new Looks(stage);
const preview = new Preview(stage, looks);
const overview = new Overview(stage);
const saving = new Saving(told, joined);
const queue = new Queue((item) => open(item));
const marks = new Marks(queue, author, note, () => step(1));
const point = new Point(stage, note);
const trial = new Trial(preview, looks, () => saving.flush(), openAt);
const notes = new Map(); // what is wrong, by what it concerns
let desk, take, frame, wanted;
const ACTIONS = {
  f: () => choose("fg"), b: () => choose("bg"), e: () => choose("erase"),
  r: () => use("round"), j: () => use("smart"), q: () => use("lasso"), k: () => use("polygon"),
  "[": () => stage.brush.resize(stage.brush.radius / THICKER), "]": () => stage.brush.resize(stage.brush.radius * THICKER),
  Enter: () => stage.brush.fill(), Escape: () => stage.brush.drop(),
  n: () => step(1), p: () => step(-1), x: () => preview.flip(),
  y: () => marks.set("right"), u: () => marks.set("unsure"), m: () => point.flip(frame),
  0: () => stage.fit(), 1: () => stage.pixelForPixel(),
  "+": () => stage.zoomBy(1.4), "=": () => stage.zoomBy(1.4), "-": () => stage.zoomBy(1 / 1.4),
  t: () => trial.start(frame),
  w: () => at("#wipe-button").click(), s: () => stage.element.classList.toggle("bare"), "?": help,
};

start();

async function start() {
  try {
    desk = await ask("api/desk");
  } catch (error) {
    empty(`The takes cannot be shown: ${error.message}`);
    return;
  }
  at("#author").value = localStorage.getItem("capmat author") || desk.author;
  at("#take").replaceChildren(...desk.takes.map((one) => option(one.name)));
  wire();
  followAddress();
  saving.recover(desk.takes);
  trial.resume();
  if (!localStorage.getItem("capmat seen")) help();
}

// The address names the frame and box that are open, so a reload or a link returns to them.
function followAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const named = desk.takes.find((one) => one.name === given.get("take"));
  const address = { take: named?.name, camera: given.get("camera"), frame: Number(given.get("frame")) };
  if (!named?.cameras[address.camera] || !named.frames.includes(address.frame)) return chooseTake(desk.takes[0].name);
  if (take !== named) fill(named.name, address.frame);
  if (!queue.find(address) && !take.queue) queue.fill(take, address.frame);
  open(queue.find(address, given.get("box")) || queue.find(address) || { at: address, reasons: [] });
}

function showAddress(item) {
  const box = item.box ? { box: String(item.box) } : {};
  history.replaceState(null, "", `#${new URLSearchParams({ ...item.at, ...box })}`);
}

function chooseTake(name) {
  fill(name);
  open(queue.items[0]);
}

function fill(name, number) {
  take = desk.takes.find((one) => one.name === name);
  at("#take").value = name;
  at("#jump-camera").replaceChildren(...Object.keys(take.cameras).map((name) => option(name)));
  queue.fill(take, number ?? take.frames[0]);
}

// A pasted name may hold a tab or half a character, which the store refuses.
function author() {
  return at("#author").value.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, " ").trim();
}

// ---- frames

async function open(item, run = item.run) {
  const asked = { take: take.name, camera: item.at.camera, frame: item.at.frame };
  saving.flush();
  wanted = item;
  let found;
  try {
    found = await ask(framePath("frame", asked));
  } catch (error) { // the open frame stays, in the list as in the picture
    if (wanted === item) note("frame", `${asked.camera} frame ${asked.frame} cannot be opened: ${error.message}.`);
    if (!frame) empty(error.message);
    else if (wanted === item && take.name !== frame.at.take) {
      fill(frame.at.take, frame.at.frame);
      queue.open(queue.find(frame.at, String(frame.item.box)) || queue.find(frame.at) || frame.item);
    }
    return;
  }
  if (wanted !== item) return; // somebody was faster
  at("#empty").hidden = true;
  note("frame", "");
  note("tiles", "");
  queue.open(item);
  showAddress(item);
  const first = !frame || frame.size[0] !== found.levels[0][0];
  frame = { at: asked, size: found.levels[0], item, ...found };
  const strokes = saving.begin({ at: asked, size: frame.size, strokes: found.strokes, revision: found.revision });
  if (first) stage.brush.resize(Math.max(2, Math.round(Math.min(...frame.size) / 120)));
  stage.show(frame.size, strokes, found.frozen, item.box || null, labelOf(found));
  looks.open(frame, run);
  preview.open(frame, strokes);
  trial.show(frame);
  marks.show();
  point.show(frame);
  overview.open(asked, found.levels);
  at("#name").textContent = nameShown(asked);
  at("#why").textContent = item.reasons.join("; ");
  at("#why").title = item.reasons.join("\n");
  at("#jump-camera").value = asked.camera;
  at("#jump-frame").value = asked.frame;
  count(strokes);
  saving.say();
}

// Labels that came as pixels are shown as they are, and strokes only where they are not in them.
function labelOf({ painted, levels }) {
  return painted ? { at: frame.at, view: "label", runs: [painted], levels, decode: asLabel } : null;
}

// A frame with the matte of a run.
function openAt(address, run) {
  if (address.take !== take.name) fill(address.take, address.frame);
  open(queue.find(address) || { at: address, reasons: [] }, run);
}

function step(by) {
  const next = queue.beside(by);
  if (next) open(next);
}

async function jump() {
  const number = Number(at("#jump-frame").value);
  const wanted = { take: take.name, camera: at("#jump-camera").value, frame: number };
  const has = take.frames.includes(number);
  note("frame", has ? "" : `The take has no frame ${number}; it has ${take.frames[0]} to ${take.frames.at(-1)}.`);
  if (!has) return;
  const known = queue.find(wanted);
  if (!known && !take.queue) queue.fill(take, number);
  await open(queue.find(wanted) || { at: wanted, reasons: [] });
}

// ---- strokes

function heard(what, detail) {
  if (what === "lost") note("tiles", detail.message);
  if (what === "smart") snap(detail);
  if (what === "look") {
    at("#zoom").textContent = `${Math.round(100 * stage.look.zoom)} %`;
    overview.moved();
  }
  if (what === "pen") showPen();
  if (what === "size") showSize();
  if (what !== "stroke") return;
  saving.change(stage.ink.strokes);
  preview.change(stage.ink.strokes);
  take.labelled = take.labelled.filter((name) => name !== nameOf(frame.at));
  count(stage.ink.strokes);
}

// Strokes of the smart brush stay as they were drawn until the program has found the edges.
async function snap(strokes) {
  const { at: address, size } = frame;
  try {
    const found = await ask(framePath("snap", address), "POST", drawingOf(address, size, strokes));
    if (frame.at === address) stage.brush.snap(strokes, found);
    note("smart", "");
  } catch (error) {
    note("smart", `The edges are not found; the stroke stays as it was drawn: ${error.message}.`);
  }
}

function joined(address, strokes, frozen) {
  if (frame && address.take === frame.at.take && nameOf(address) === nameOf(frame.at)) {
    stage.replace(strokes, frozen);
    preview.change(strokes);
    count(strokes);
  }
}

function count(strokes) {
  const authors = [...new Set(strokes.map((stroke) => stroke.author))];
  if (strokes.length) take.drafts[nameOf(frame.at)] = { fg: movements(strokes, "fg"), bg: movements(strokes, "bg"), authors };
  else delete take.drafts[nameOf(frame.at)];
  at("#undo").disabled = stage.ink.last(stage.author()) < 0;
  at("#redo").disabled = !stage.ink.undone.length;
  const painted = Object.keys(take.drafts).length;
  const queued = [...new Set((take.queue?.items || []).map((item) => `${item.camera}/${item.frame}`))];
  const ready = queued.filter((name) => name in take.drafts).length;
  Object.assign(at("#share"), { hidden: !queued.length, max: queued.length || 1, value: ready });
  at("#progress").textContent = queued.length
    ? `${ready} of ${counted(queued.length, "proposed frame")} painted${painted > ready ? `, and ${painted - ready} more` : ""}`
    : `${counted(painted, "frame")} painted. Nothing is proposed yet: capmat mine ${take.name}`;
  queue.mark();
}

function nameShown({ camera, frame: number }) {
  return `${camera} · frame ${number}`;
}

function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function told(state, words) {
  at("#saved").textContent = { saved: "Saved", waiting: "Saving…", kept: "Kept here, not sent yet" }[state] || "Not saved";
  at("#saved").classList.toggle("trouble", state === "kept" || state === "trouble");
  note("saving", state === "trouble" ? words : "");
}

function note(about, words) {
  words ? notes.set(about, words) : notes.delete(about);
  at("#trouble").textContent = [...notes.values()].join(" ");
  at("#trouble").hidden = !notes.size;
}

// ---- buttons, keys

function choose(brush) {
  stage.brush.choose(brush);
  for (const button of document.querySelectorAll("[data-brush]")) {
    button.setAttribute("aria-pressed", button.dataset.brush === brush);
  }
}

async function done() {
  const finished = await finish(desk, stage.author(), () => saving.flush());
  if (!finished) return;
  desk = await ask("api/desk");
  take = desk.takes.find((one) => one.name === take.name);
  queue.take = take;
  const here = frame;
  const found = await ask(framePath("frame", here.at));
  if (frame !== here) return; // another one was opened meanwhile
  const strokes = saving.begin({ at: frame.at, size: frame.size, strokes: found.strokes, revision: found.revision });
  stage.label = labelOf(found);
  stage.ink.load(strokes, found.frozen);
  stage.redraw({ ink: true });
  count(strokes);
}

function use(tool) {
  stage.brush.use(tool);
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", button.dataset.tool === tool);
  }
}

function showSize() {
  const across = `${Math.max(1, Math.round(2 * stage.brush.radius))} px`;
  at("#radius").textContent = across;
  at("#size").value = Math.log2(stage.brush.radius);
  at("#size").setAttribute("aria-valuetext", across);
}

function showPen() {
  // Its room is kept: a bar that grows at the first touch of a pen would move the picture under that stroke.
  at("#pen").style.visibility = navigator.maxTouchPoints || stage.hand.penOnly ? "" : "hidden";
  at("#pen").setAttribute("aria-pressed", stage.hand.penOnly);
}

function help() {
  at("#help").showModal();
  localStorage.setItem("capmat seen", "1");
}

function wire() {
  for (const button of document.querySelectorAll("[data-brush]")) button.onclick = () => choose(button.dataset.brush);
  for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => use(button.dataset.tool);
  at("#size").oninput = (event) => stage.brush.resize(2 ** event.target.value);
  at("#undo").onclick = () => stage.undo();
  at("#redo").onclick = () => stage.redo();
  at("#pen").onclick = () => stage.hand.usePenOnly(!stage.hand.penOnly);
  at("#fit").onclick = () => stage.fit();
  at("#next").onclick = () => step(1);
  at("#previous").onclick = () => step(-1);
  at("#help-button").onclick = help;
  at("#train").onclick = () => frame && trial.start(frame);
  at("#done").onclick = done;
  at("#take").onchange = (event) => chooseTake(event.target.value);
  // Keys always reach the picture, whatever was clicked last.
  for (const select of document.querySelectorAll("select")) select.addEventListener("change", () => select.blur());
  for (const bar of [at("#tools"), at("#foot")]) {
    bar.addEventListener("mousedown", (event) => event.target.closest("button") && event.preventDefault());
  }
  at("#author").onchange = () => localStorage.setItem("capmat author", author());
  at("#who").onsubmit = (event) => event.preventDefault();
  at("#jump").onsubmit = (event) => {
    event.preventDefault();
    jump();
  };
  connection.addEventListener("gone", () => note("program", GONE));
  connection.addEventListener("back", () => {
    note("program", "");
    note("frame", "");
    saving.flush();
    trial.resume();
    stage.redraw({ tiles: true });
  });
  addEventListener("hashchange", followAddress);
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => stage.element.focus());
  listenToKeys({ stage, looks, isReady: () => frame, actions: ACTIONS, haunt, unhaunt });
  addEventListener("beforeunload", (event) => {
    if (saving.waiting) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => document.hidden && saving.flush());
  choose("fg");
  use("round");
  showPen();
}

// The picture of a neighbour over this one: another frame, or another camera at this moment.
function haunt(kind, by) {
  const list = kind === "camera" ? Object.keys(take.cameras) : take.frames;
  const next = list[list.indexOf(frame.at[kind]) + by];
  if (next === undefined) return;
  const address = { ...frame.at, [kind]: next };
  looks.ghost({ at: address, levels: take.cameras[address.camera] });
  at("#name").textContent = `${nameShown(address)}, over this one`;
}

function unhaunt() {
  if (!frame) return;
  looks.ghost(null);
  at("#name").textContent = nameShown(frame.at);
}

function option(value, text = value) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

function empty(words) {
  at("#empty").textContent = words;
  at("#empty").hidden = false;
}
