// The brush, and what a person is making with it: a stroke, or an outline that is filled. A stored stroke has one
// radius, so a movement of a pen that is pressed more and less, or a filled outline, is stored as several strokes with
// the same time, and undone as one.

import { cellsInside, strokesOver } from "./fill.js";
import { keyOf } from "./ink.js";

const THINNEST = 0.75;
const THICKEST = 2048;
const STEP = 1.15; // between two radii of one movement
const CLOSE_PX = 12; // from the first corner of a polygon
const MOST_ROWS = 1000; // of a filled outline

export class Brush {
  constructor(stage, author) {
    Object.assign(this, { stage, author, label: "fg", tool: "round", radius: 8, pointer: null });
    this.ring = document.querySelector("#ring");
    this.pieces = []; // of the present movement; empty while nobody paints
    this.outline = []; // of the lasso, or the corners of a polygon
    this.straight = false;
  }

  choose(label) {
    this.label = label;
    this.ring.className = label;
  }

  // "round"; "smart", whose strokes go to the next edges; "lasso" and "polygon", whose outlines are filled.
  use(tool) {
    this.tool = tool;
    this.stage.element.dataset.using = tool;
    this.drop();
  }

  resize(radius) {
    this.radius = Math.min(Math.max(radius, THINNEST), THICKEST);
    this.moveRing();
    this.stage.told("size");
  }

  // `pointer`: where it is, in device pixels of the window.
  moveRing(pointer = this.pointer) {
    this.pointer = pointer;
    if (!pointer) return;
    const { ratio, look } = this.stage;
    const side = Math.max((2 * this.radius * look.zoom) / ratio, 3);
    this.ring.style.width = this.ring.style.height = `${side}px`;
    this.ring.style.transform = `translate(${pointer.x / ratio - side / 2}px, ${pointer.y / ratio - side / 2}px)`;
    if (this.tool === "polygon" && this.outline.length) this.stage.paintMarks();
  }

  begin(event) {
    this.stage.element.classList.remove("bare");
    this.making = event.buttons & 32 ? "erase" : this.label; // the other end of a pen
    if (this.tool === "lasso") this.outline = [this.stage.place(event)];
    if (this.tool === "lasso" || this.tool === "polygon") return;
    this.straight = event.shiftKey;
    this.pressed = 0;
    this.pieces = [{ label: this.making, radius: this.pressedRadius(event), points: [this.stage.place(event)] }];
    this.straight ? this.stage.paintMarks() : this.stage.grow(this.pieces[0], 0);
  }

  extend(event) {
    if (this.tool === "polygon") return;
    if (this.straight) {
      this.pieces[0].points = [this.pieces[0].points[0], this.stage.place(event)];
      this.stage.paintMarks();
      return;
    }
    const all = event.getCoalescedEvents?.() || [];
    for (const each of all.length ? all : [event]) this.add(each, 0.7);
    if (this.tool === "lasso") this.stage.paintMarks();
  }

  // A point that is at least some device pixels from the last one.
  add(event, least) {
    let piece = this.pieces.at(-1);
    const points = piece ? piece.points : this.outline;
    const point = this.stage.place(event);
    const [x, y] = points.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) < least / this.stage.look.zoom) return;
    if (!piece) {
      points.push(point);
      return;
    }
    const radius = event.type === "pointerup" ? piece.radius : this.pressedRadius(event);
    if (radius !== piece.radius) this.pieces.push((piece = { label: piece.label, radius, points: [[x, y]] }));
    piece.points.push(point);
    this.stage.grow(piece, piece.points.length - 1);
  }

  end(event) {
    if (this.tool === "polygon") this.corner(event);
    else if (this.tool === "lasso") this.fill();
    else if (this.pieces.length) {
      if (!this.straight) this.add(event, 0.1);
      const made = this.keep(this.pieces);
      if (this.tool === "smart") this.stage.told("smart", made);
    }
  }

  // Adds a corner of the polygon; a press on its first corner closes it.
  corner(event) {
    const point = this.stage.place(event);
    const near = (other) => Math.hypot(point[0] - other[0], point[1] - other[1]) * this.stage.look.zoom < CLOSE_PX * this.stage.ratio;
    if (this.outline.length > 2 && near(this.outline[0])) this.fill();
    else this.outline.push(point);
    this.stage.paintMarks();
  }

  // Fills the outline, as finely as it is seen.
  fill() {
    const { outline, stage } = this;
    if (!outline.length) return;
    const ys = outline.map(([, y]) => y);
    const side = Math.max(1, 1 / stage.look.zoom, (Math.max(...ys) - Math.min(...ys)) / MOST_ROWS);
    const made = outline.length > 2 ? strokesOver(cellsInside(outline, side, stage.size), side) : [];
    this.drop();
    if (made.length) this.keep(made.map((stroke) => ({ label: this.making, ...stroke })));
  }

  // Strokes of one movement become ink.
  keep(strokes) {
    const signed = { author: this.author(), time: new Date().toISOString() };
    const made = strokes.map((stroke) => ({ ...stroke, ...signed }));
    this.stage.ink.add(made);
    this.cancel();
    this.stage.told("stroke");
    return made;
  }

  // Puts strokes over `rows` of cells in place of those of a movement, if they are still there.
  snap(made, { rows, side }) {
    const { ink } = this.stage;
    const keys = new Set(made.map(keyOf));
    const place = ink.strokes.findIndex((stroke) => keys.has(keyOf(stroke)));
    if (place < 0 || !rows.length) return;
    const { label, author, time } = made[0];
    const snapped = strokesOver(rows, side).map((stroke) => ({ label, ...stroke, author, time }));
    const rest = ink.strokes.filter((stroke) => !keys.has(keyOf(stroke)));
    ink.strokes = rest.toSpliced(place, 0, ...snapped);
    this.stage.changed();
  }

  // Drops the present movement; the corners of a polygon stay.
  cancel() {
    this.pieces = [];
    this.straight = false;
    if (this.tool !== "polygon") this.outline = [];
    this.stage.redraw({ ink: true });
  }

  // Drops everything that is not finished.
  drop() {
    this.outline = [];
    this.cancel();
  }

  // A pen that is pressed half gives the chosen radius, as one that does not tell how it is pressed.
  pressedRadius(event) {
    const share = event.pointerType === "pen" && event.pressure ? 0.3 + 1.4 * event.pressure : 1;
    const steps = Math.log(share) / Math.log(STEP);
    if (Math.abs(steps - this.pressed) > 0.75) this.pressed = Math.round(steps);
    const radius = this.radius * STEP ** this.pressed;
    return Math.round(100 * Math.min(Math.max(radius, THINNEST), THICKEST)) / 100;
  }
}
