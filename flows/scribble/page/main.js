// The page: the open frame, the view of it, and the keys.

import { ask, connection, framePath } from "./server.js";
import { finish } from "./finish.js";
import { Looks } from "./looks.js";
import { Marks } from "./marks.js";
import { Point } from "./point.js";
import { Preview } from "./preview.js";
import { Queue, nameOf } from "./queue.js";
import { Saving } from "./saving.js";
import { movements } from "./canvas/ink.js";
import { Overview } from "./canvas/overview.js";
import { Stage } from "./canvas/stage.js";

const at = (selector) => document.querySelector(selector);
const HOLD_MS = 350;
const THICKER = 1.25;
const LOOKS = {
  v: "picture", o: "tint", a: "alpha", c: "checker", g: "green", l: "plate", d: "difference", h: "hull",
};
const GONE = "The program does not answer; is it still running? This browser keeps the strokes and sends them when it answers.";
const BRUSHES = { f: "fg", b: "bg", e: "erase" };

const stage = new Stage(heard, () => author() || "somebody");
const looks = new Looks(stage);
const preview = new Preview(stage, looks);
const overview = new Overview(stage);
const saving = new Saving(told, joined);
const queue = new Queue((item) => open(item));
const marks = new Marks(queue, author, note, () => step(1));
const point = new Point(stage, note);
const notes = new Map(); // what is wrong, by what it concerns
let desk, take, frame, wanted;
const held = {}; // key -> when it went down, and the view before

start();

async function start() {
  try {
    desk = await ask("api/desk");
  } catch (error) {
    empty(`The program does not answer: ${error.message}`);
    return;
  }
  at("#author").value = localStorage.getItem("capmat author") || desk.author;
  at("#take").replaceChildren(...desk.takes.map((one) => option(one.name)));
  wire();
  followAddress();
  saving.recover(desk.takes);
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

async function open(item) {
  const asked = { take: take.name, camera: item.at.camera, frame: item.at.frame };
  saving.flush();
  wanted = item;
  let found;
  try {
    found = await ask(framePath("frame", asked));
  } catch (error) { // the open frame stays, in the list as in the picture
    if (wanted === item) note("frame", `${asked.camera} frame ${asked.frame} cannot be opened: ${error.message}.`);
    if (!frame) empty(error.message);
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
  if (first) thickness(Math.max(2, Math.round(Math.min(...frame.size) / 120)));
  stage.show(frame.size, strokes, found.frozen, item.box || null);
  looks.open(frame, item.run);
  preview.open(frame, strokes);
  marks.show();
  point.show(frame);
  overview.open(asked, found.levels);
  at("#name").textContent = `${asked.camera} · frame ${asked.frame}`;
  at("#why").textContent = item.reasons.join("; ");
  at("#why").title = item.reasons.join("\n");
  at("#jump-camera").value = asked.camera;
  at("#jump-frame").value = asked.frame;
  count(strokes);
  saving.say();
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

function heard(what, error) {
  if (what === "lost") note("tiles", error.message);
  if (what === "look") {
    at("#zoom").textContent = `${Math.round(100 * stage.look.zoom)} %`;
    overview.moved();
  }
  if (what === "pen") showPen();
  if (what !== "stroke") return;
  saving.change(stage.ink.strokes);
  preview.change(stage.ink.strokes);
  take.labelled = take.labelled.filter((name) => name !== nameOf(frame.at));
  count(stage.ink.strokes);
}

function joined(address, strokes) {
  if (frame && address.take === frame.at.take && nameOf(address) === nameOf(frame.at)) {
    stage.replace(strokes);
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
  const queued = take.queue ? new Set(take.queue.items.map((item) => `${item.camera}/${item.frame}`)).size : 0;
  at("#progress").textContent = queued
    ? `${painted} painted, ${counted(queued, "frame")} proposed`
    : `${counted(painted, "frame")} painted. Nothing is proposed yet: capmat mine ${take.name}`;
  queue.mark();
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

function thickness(radius) {
  stage.brush.resize(radius);
  at("#radius").textContent = `${Math.max(1, Math.round(2 * stage.brush.radius))} px`;
}

async function done() {
  const finished = await finish(desk, stage.author(), () => saving.flush());
  if (!finished) return;
  desk = await ask("api/desk");
  take = desk.takes.find((one) => one.name === take.name);
  queue.take = take;
  const found = await ask(framePath("frame", frame.at));
  const strokes = saving.begin({ at: frame.at, size: frame.size, strokes: found.strokes, revision: found.revision });
  stage.ink.load(strokes, found.frozen);
  stage.redraw({ ink: true });
  count(strokes);
}

function showPen() {
  at("#pen").hidden = !navigator.maxTouchPoints && !stage.hand.penOnly;
  at("#pen").setAttribute("aria-pressed", stage.hand.penOnly);
}

function help() {
  at("#help").showModal();
  localStorage.setItem("capmat seen", "1");
}

function wire() {
  for (const button of document.querySelectorAll("[data-brush]")) button.onclick = () => choose(button.dataset.brush);
  at("#smaller").onclick = () => thickness(stage.brush.radius / THICKER);
  at("#larger").onclick = () => thickness(stage.brush.radius * THICKER);
  at("#undo").onclick = () => stage.undo();
  at("#redo").onclick = () => stage.redo();
  at("#pen").onclick = () => stage.hand.usePenOnly(!stage.hand.penOnly);
  at("#fit").onclick = () => stage.fit();
  at("#next").onclick = () => step(1);
  at("#previous").onclick = () => step(-1);
  at("#help-button").onclick = help;
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
    stage.redraw({ tiles: true });
  });
  addEventListener("hashchange", followAddress);
  for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => stage.element.focus());
  addEventListener("keydown", pressed);
  addEventListener("keyup", released);
  addEventListener("blur", () => stage.hand.hold(false));
  addEventListener("beforeunload", (event) => {
    if (saving.waiting) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => document.hidden && saving.flush());
  choose("fg");
  showPen();
}

function pressed(event) {
  const typing = event.target.closest("select, [type=text], [type=number]");
  if (event.key === " " && event.target.closest("button, input")) return; // presses it
  const altGr = event.getModifierState("AltGraph"); // where brackets are on German keyboards
  if (typing || at("dialog[open]") || !frame || (event.altKey && !altGr)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const ctrl = (event.ctrlKey && !altGr) || event.metaKey;
  if (ctrl && key === "z") event.shiftKey ? stage.redo() : stage.undo();
  else if (ctrl && key === "y") stage.redo();
  else if (ctrl) return;
  else if (key === " ") stage.hand.hold(true);
  else if (key in BRUSHES) choose(BRUSHES[key]);
  else if (key in LOOKS) flip(key, event);
  else if (key === "w") at("#wipe-button").click();
  else if (key === "[") thickness(stage.brush.radius / THICKER);
  else if (key === "]") thickness(stage.brush.radius * THICKER);
  else if (key === "n") step(1);
  else if (key === "p") step(-1);
  else if (key === "x") preview.flip();
  else if (key === "m") point.flip(frame);
  else if (key === "y") marks.set("right");
  else if (key === "u") marks.set("unsure");
  else if (key === "0") stage.fit();
  else if (key === "1") stage.pixelForPixel();
  else if (key === "+" || key === "=") stage.zoomBy(1.4);
  else if (key === "-") stage.zoomBy(1 / 1.4);
  else if (key === "s") stage.element.classList.toggle("bare");
  else if (key === "?") help();
  else return;
  event.preventDefault();
}

// A tap switches to a view, or from it back to the picture; a held key shows the view only while it is held.
function flip(key, event) {
  if (event.repeat) return;
  held[key] = { since: event.timeStamp, before: looks.view };
  looks.set(looks.view === LOOKS[key] ? "picture" : LOOKS[key]);
}

function released(event) {
  const key = event.key.toLowerCase();
  if (event.key === " " && stage.hand.space) {
    stage.hand.hold(false);
    event.preventDefault();
  }
  if (!held[key]) return;
  const { since, before } = held[key];
  delete held[key];
  if (event.timeStamp - since > HOLD_MS) looks.set(before);
}

function option(value, text = value) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

function empty(words) {
  at("#empty").textContent = words;
  at("#empty").hidden = false;
}
