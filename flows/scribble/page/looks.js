// What is shown over the picture: the matte as a tint, the subject cut out over some ground, or another picture; how
// strongly, in which colour, and up to where (the wipe). All views of a matte are made here from the same tiles.

import { ask, framePath } from "./server.js";
import { repainted } from "./canvas/tiles.js";

const at = (selector) => document.querySelector(selector);
const ASK_AGAIN_MS = 500;
const TINT_SHARE = 55; // per cent
const SQUARE = 16; // of the checkerboard, in pixels of the window
const CUT_OUT = ["checker", "black", "white", "green"];
const OF_MATTE = ["tint", "alpha", ...CUT_OUT, "hull"];
const REMEMBERED = "capmat looks";

export class Looks {
  constructor(stage) {
    Object.assign(this, { stage, view: "tint", frame: null, strengths: {} });
    const kept = JSON.parse(localStorage.getItem(REMEMBERED) || "{}");
    for (const name of ["#tint", "#hatched", "#ground", "#own"]) {
      const field = at(name);
      if (name in kept) field.type === "checkbox" ? (field.checked = kept[name]) : (field.value = kept[name]);
      field.addEventListener("input", () => {
        kept[name] = field.type === "checkbox" ? field.checked : field.value;
        localStorage.setItem(REMEMBERED, JSON.stringify(kept));
        this.set(name === "#ground" ? field.value : this.view);
      });
    }
    at("#strength").addEventListener("input", (event) => {
      this.strengths[this.view] = Number(event.target.value);
      this.set(this.view);
    });
    for (const button of document.querySelectorAll("[data-view]")) button.onclick = () => this.set(this.of(button));
    at("#run").onchange = at("#other").onchange = () => this.set(this.view);
    wireWipe(stage);
  }

  // A frame as the program describes it, and the run that it was mined for.
  open(frame, wanted) {
    this.frame = frame;
    const { runs } = frame;
    for (const list of [at("#run"), at("#other")]) list.replaceChildren(...runs.map(optionOf));
    if (runs.includes(wanted)) at("#run").value = wanted;
    const role = (run) => run.split("-")[0];
    const run = at("#run").value;
    at("#other").value = runs.find((one) => role(one) !== role(run)) || runs.find((one) => one !== run) || "";
    this.stage.lay(null);
    this.set(this.possible(this.view) ? this.view : "picture");
  }

  possible(view) {
    if (OF_MATTE.includes(view)) return this.frame.runs.length > 0;
    if (view === "difference") return this.frame.runs.length > 1;
    return view !== "plate" || this.frame.plate;
  }

  // The run whose matte is shown.
  get run() {
    return at("#run").value;
  }

  of(button) {
    return button.dataset.view === "cutout" ? at("#ground").value : button.dataset.view;
  }

  set(view) {
    if (!this.frame || !this.possible(view)) return;
    this.view = view;
    if (view === "hull") this.compare();
    if (CUT_OUT.includes(view)) at("#ground").value = view;
    const strength = this.strengths[view] ?? (view === "tint" ? TINT_SHARE : 100);
    const others = ["tint", "plate"].filter((name) => name !== view && this.possible(name));
    const top = view === "picture" || view === "hull" ? null : this.source(view);
    this.stage.view(this.source("picture"), top, others.map((name) => this.source(name)), strength / 100);
    for (const button of document.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", this.of(button) === view);
      button.disabled = !this.possible(this.of(button));
    }
    at("#strength").value = strength;
    at("#run-label").hidden = !OF_MATTE.includes(view) && view !== "difference";
    at("#other-label").hidden = view !== "difference";
    at("#look").hidden = view === "picture";
    for (const field of document.querySelectorAll("[data-for]")) {
      field.hidden = !field.dataset.for.split(" ").includes(view);
    }
    legend(view);
  }

  // The picture of another frame or camera, { at, levels }, over this one; null takes it away.
  ghost(other) {
    if (other) this.stage.view(this.source("picture"), { ...other, view: "picture", runs: [] }, [], 0.6);
    else if (this.haunted) this.set(this.view);
    this.haunted = Boolean(other);
  }

  source(view) {
    const { frame } = this;
    const known = { at: frame.at, levels: frame.levels };
    if (view === "picture" || view === "plate") return { ...known, view, runs: [] };
    if (view === "difference") return { ...known, view, runs: [this.run, at("#other").value] };
    if (view === "hull") return { ...known, view, runs: [this.run] };
    return { ...known, view: "alpha", runs: [this.run], decode: asMask, paint: paintOf(view, this.stage.ratio) };
  }

  // The comparison with the other cameras takes a while; the picture is shown until it is ready.
  async compare() {
    const { frame, run } = this;
    const path = `${framePath("hull", frame.at)}?run=${encodeURIComponent(run)}`;
    const here = () => this.view === "hull" && this.frame === frame && this.run === run;
    let found;
    try {
      while (here() && !(found = await ask(path)).ready) {
        at("#legend").textContent = `Comparing with the other cameras… ${Math.round(100 * found.share)} %`;
        await new Promise((later) => setTimeout(later, ASK_AGAIN_MS));
      }
    } catch (error) {
      if (here()) at("#legend").textContent = error.message;
      return;
    }
    if (!here()) return;
    legend("hull");
    if (!found.contradict) at("#legend").textContent = "The other cameras contradict nothing in this matte.";
    this.stage.view(this.source("picture"), this.source("hull"), [], (this.strengths.hull ?? 100) / 100);
  }
}

// A grey picture becomes one whose alpha it is.
export function asMask(bitmap) {
  return repainted(bitmap, (data, i) => (data[i + 3] = data[i]));
}

function paintOf(view, ratio) {
  if (view === "alpha") return [["source-in", "#fff"], ["destination-over", "#000"]];
  if (view !== "tint") return [["source-out", view === "checker" ? checker(ratio) : view === "green" ? at("#own").value : view]];
  const colour = at("#tint").value;
  return [["source-in", at("#hatched").checked ? hatching(colour, ratio) : colour]];
}

function checker(ratio) {
  const side = Math.round(SQUARE * ratio);
  return pattern(2 * side, (context) => {
    context.fillStyle = "#808080";
    context.fillRect(0, 0, 2 * side, 2 * side);
    context.fillStyle = "#404040";
    context.fillRect(0, 0, side, side);
    context.fillRect(side, side, side, side);
  });
}

// Lines across, which are seen without telling colours apart, and between which the picture shows.
function hatching(colour, ratio) {
  const side = Math.round(9 * ratio);
  return pattern(side, (context) => {
    context.strokeStyle = colour;
    context.lineWidth = side / 3;
    for (const by of [-side, 0, side]) {
      context.moveTo(by - 1, side + 1);
      context.lineTo(by + side + 1, -1);
    }
    context.stroke();
  });
}

function pattern(side, draw) {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d");
  draw(context);
  return context.createPattern(canvas, "repeat");
}

function legend(view) {
  const [one, other] = [at("#run").value, at("#other").value].map(said);
  const lines = {
    difference: [`${one} keeps what ${other} drops`, `${one} drops what ${other} keeps`],
    hull: ["kept here, but no other camera allows it", "dropped here, but the others see the subject"],
  }[view];
  at("#legend").hidden = !lines;
  at("#legend").replaceChildren(...(lines || []).map((text, n) => {
    const line = document.createElement("span");
    line.append(Object.assign(document.createElement("i"), { className: `dot ${["more", "less"][n]}` }), text);
    return line;
  }));
}

// Shows "teacher-bg_vitmatte_s-v0003" as "teacher v0003".
function said(run) {
  const parts = run.split("-");
  return parts.length > 2 && /^v\d+$/.test(parts.at(-1)) ? `${parts[0]} ${parts.at(-1)}` : run;
}

function optionOf(run) {
  return Object.assign(document.createElement("option"), { value: run, textContent: said(run) });
}

// The wipe: to its left the picture alone, to its right the view.
function wireWipe(stage) {
  const handle = at("#wipe");
  const move = (share) => {
    const within = Math.min(Math.max(share, 0), 1);
    stage.wipeAt(within);
    handle.style.left = `${100 * within}%`;
    handle.setAttribute("aria-valuenow", Math.round(100 * within));
  };
  at("#wipe-button").onclick = () => {
    handle.hidden = !handle.hidden;
    at("#wipe-button").setAttribute("aria-pressed", !handle.hidden);
    handle.hidden ? stage.wipeAt(null) : move(0.5);
  };
  handle.onpointerdown = (event) => handle.setPointerCapture(event.pointerId);
  handle.onpointermove = (event) => {
    const box = stage.element.getBoundingClientRect();
    if (handle.hasPointerCapture(event.pointerId)) move((event.clientX - box.left) / box.width);
  };
  handle.onkeydown = (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (by) move(stage.wipe + by);
  };
}
