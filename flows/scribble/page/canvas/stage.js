// The picture with its strokes: which part of it is seen, and what is drawn when. Four canvases: the
// picture, a view over it, the strokes, and marks on top, each somewhat larger than the window. When the view moves they
// are moved; only what that uncovers is drawn. Strokes that are finished are drawn again only when the view is zoomed.
// Empty canvases are hidden: without a GPU the browser copies and lays over each other all that are shown, frame by frame.

import { Brush } from "./brush.js";
import { Hand } from "./hand.js";
import { Ink } from "./ink.js";
import { drawLine, drawOutline, drawStraight, shift, uncovered } from "./marks.js";
import { Tiles } from "./tiles.js";

const CLOSEST = 32; // device pixels per pixel of the picture
const MARGIN = 160; // around what is seen, painted too: a picture that is moved so far need not be painted again
const SETTLE_MS = 200;
const EDGE = 2; // of the box, in pixels of the window, around what it frames

export class Stage {
  // `told` is called with "look" when the view has moved, with "stroke" when the strokes have changed, with "smart" and the strokes
  // of a movement that are to go to the next edges, with "size" when the brush has another one, with "pen" when fingers paint no more or again, and with "lost" and an error when a piece of the picture cannot be shown.
  constructor(told, author) {
    this.told = told;
    this.author = author;
    this.element = document.querySelector("#stage");
    this.canvases = ["tiles", "over", "ink", "marks"].map((id) => document.querySelector(`#${id}`));
    const [picture, over, ink, marks] = this.canvases.map((canvas) => canvas.getContext("2d"));
    Object.assign(this, { picture, over, marks });
    this.frame = document.querySelector("#box");
    this.ink = new Ink(ink);
    this.tiles = new Tiles(() => this.redraw({ tiles: true, ink: Boolean(this.label) }), (error) => told("lost", error));
    this.look = { x: 0, y: 0, zoom: 1 };
    this.size = null; // [height, width] of the frame
    this.box = null;
    this.base = this.top = null; // the picture, and the view over it, as sources of tiles
    this.patch = null;
    this.wipe = null; // the share of the window in which the picture is seen without the view over it
    this.due = null;
    this.painted = null; // what the canvases show, their margin included
    this.brush = new Brush(this, author);
    this.hand = new Hand(this, this.brush);
    new ResizeObserver(() => this.resized()).observe(this.element);
  }

  // A frame: its size, its strokes, of which the first `frozen` are labels, and where to look at: a box, or null for all
  // of it. `label` shows labels that have painted pixels, as a source of tiles; without any it is null.
  show(size, strokes, frozen, box, label) {
    this.label = label;
    this.size = size;
    this.box = box;
    this.brush.drop();
    this.fitted = false;
    this.ink.load(strokes, frozen);
    this.resized();
    box ? this.lookAt(box) : this.fit();
  }

  // Shows a source, and another one over it (or null). The tiles of `others` are fetched when there is time.
  view(base, top, others, opacity) {
    Object.assign(this, { base, top, others });
    this.tiles.waiting = [];
    this.over.canvas.style.opacity = opacity;
    this.over.canvas.hidden = !top;
    this.redraw({ tiles: true, ink: true });
  }

  // Shows another matte in a box of the frame: { box, image }, whose image has it as alpha; null removes it. It is
  // there in all views that are made of the matte. The wipe then compares it with the stored one.
  lay(patch) {
    this.patch = patch;
    this.redraw({ tiles: true });
  }

  // Points [x, y] of the frame that are drawn as a line, a single one as a cross; null for none.
  line(points) {
    this.guide = points;
    this.paintMarks();
  }

  wipeAt(share) {
    this.wipe = share;
    this.redraw({ tiles: true });
  }

  // ---- the view

  resized() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.element;
    this.ratio = ratio;
    [this.width, this.height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    this.margin = Math.round(MARGIN * ratio);
    const [across, down] = [this.width + 2 * this.margin, this.height + 2 * this.margin];
    for (const canvas of this.canvases) {
      if (canvas.width !== across) canvas.width = across;
      if (canvas.height !== down) canvas.height = down;
      Object.assign(canvas.style, {
        left: `${-MARGIN}px`, top: `${-MARGIN}px`, width: `${across / ratio}px`, height: `${down / ratio}px`,
      });
    }
    this.painted = null;
    if (this.fitted) this.fit();
    this.redraw({ tiles: true, ink: true });
  }

  fit() {
    this.centre([0, 0, this.size[1], this.size[0]], 0.96);
    this.fitted = true; // stays so when the window changes
  }

  lookAt([x0, y0, x1, y1]) {
    const room = Math.max(x1 - x0, y1 - y0, Math.min(...this.size) / 6); // what lies around it is part of the question
    this.centre([(x0 + x1 - 2 * room) / 2, (y0 + y1 - 2 * room) / 2, (x0 + x1 + 2 * room) / 2, (y0 + y1 + 2 * room) / 2], 1);
  }

  centre([x0, y0, x1, y1], share) {
    const zoom = Math.min(CLOSEST, share * Math.min(this.width / (x1 - x0), this.height / (y1 - y0)));
    // Show as little as possible of what lies beside the picture.
    const start = (low, high, sight, side) => {
      const wanted = (low + high - sight) / 2;
      return sight > side ? (side - sight) / 2 : Math.min(Math.max(wanted, 0), side - sight);
    };
    const [height, width] = this.size;
    this.go(start(x0, x1, this.width / zoom, width), start(y0, y1, this.height / zoom, height), zoom);
  }

  pixelForPixel() {
    this.zoomBy(1 / this.look.zoom, this.width / 2, this.height / 2);
  }

  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const { look } = this;
    const zoom = this.allowed(look.zoom * factor);
    this.go(look.x + x / look.zoom - x / zoom, look.y + y / look.zoom - y / zoom, zoom);
  }

  allowed(zoom) {
    const least = 0.5 * Math.min(this.width / this.size[1], this.height / this.size[0], 1);
    return Math.min(Math.max(zoom, least), CLOSEST);
  }

  go(x, y, zoom) {
    // The middle of the window stays on the picture, so that the picture stays in sight.
    const [height, width] = this.size;
    const [w, h] = [this.width / zoom, this.height / zoom];
    // Whole device pixels: what is on the canvases can be moved along.
    const within = (v, side, sight) => Math.round(Math.min(Math.max(v, -sight / 2), side - sight / 2) * zoom) / zoom;
    this.look = { x: within(x, width, w), y: within(y, height, h), zoom };
    this.fitted = false;
    this.redraw({});
    this.brush.moveRing();
    this.told("look");
  }

  // ---- drawing

  // `what` says what has to be drawn anew, { tiles, ink }; what has only moved is moved.
  redraw(what) {
    if (!this.size || !this.base) return;
    if (this.due) {
      Object.assign(this.due, what);
      return;
    }
    this.due = what;
    requestAnimationFrame(() => this.paint());
  }

  paint() {
    const { due, look, painted } = this;
    this.due = null;
    const [width, height] = [this.width + 2 * this.margin, this.height + 2 * this.margin];
    const wanted = { x: look.x - this.margin / look.zoom, y: look.y - this.margin / look.zoom, zoom: look.zoom };
    const whole = [[0, 0, width, height]];
    let parts = whole;
    clearTimeout(this.settling);
    const zoomed = painted && painted.zoom !== look.zoom;
    if (zoomed) {
      parts = [[this.margin, this.margin, this.width, this.height]]; // the margin has time until the zoom has settled
      this.settling = setTimeout(() => this.redraw({ tiles: true, ink: true }), SETTLE_MS);
    } else if (painted && !painted.bare) {
      const [dx, dy] = [(painted.x - wanted.x) * look.zoom, (painted.y - wanted.y) * look.zoom].map(Math.round);
      if (this.patch && this.wipe !== null) due.tiles = true; // their border stays where the wipe is
      if (!due.tiles && !due.ink && Math.max(Math.abs(dx), Math.abs(dy)) <= this.margin) {
        this.slide(dx, dy);
        return;
      }
      parts = uncovered(dx, dy, width, height);
      if (parts.length && !due.tiles) for (const context of [this.picture, this.over]) shift(context, dx, dy);
      if (parts.length && !due.ink) shift(this.ink.context, dx, dy);
    }
    this.painted = { ...wanted, bare: zoomed };
    this.slide(0, 0);
    const all = zoomed ? parts : whole;
    const missing = this.label ? this.tiles.draw(this.ink.context, this.label, wanted, width, height, due.ink ? all : parts) : [];
    this.paintTiles(wanted, width, height, due.tiles ? all : parts, missing);
    this.ink.context.canvas.hidden = !(this.label || this.ink.strokes.length || this.brush.pieces.length);
    this.ink.draw(wanted, due.ink ? all : parts, Boolean(this.label));
    if (due.ink && !this.brush.straight) for (const piece of this.brush.pieces) this.ink.grow(piece, 0, wanted);
    this.paintMarks();
  }

  paintTiles(wanted, width, height, parts, missing) {
    missing.unshift(...this.tiles.draw(this.picture, this.base, wanted, width, height, parts));
    if (this.top) {
      const from = this.wipe === null ? 0 : this.margin + this.wipe * this.width;
      const patch = this.patch && this.top.view === "alpha" ? { ...this.patch, from } : null;
      missing.push(...this.tiles.draw(this.over, { ...this.top, patch }, wanted, width, height, parts));
    } else {
      for (const part of parts) this.over.clearRect(...part);
    }
    this.tiles.fetchSoon(missing);
    this.element.setAttribute("aria-busy", this.tiles.running > 0);
    if (!missing.length && !this.tiles.running) this.tiles.foresee(this.others, wanted, width, height);
  }

  // What has been added to a stroke that is being made since point `from`.
  grow(stroke, from) {
    this.ink.context.canvas.hidden = false;
    if (this.painted) this.ink.grow(stroke, from, this.painted);
    else this.redraw({ ink: true }); // nothing is painted yet; the stroke will be, with the rest
  }

  slide(dx, dy) {
    const moved = `translate(${dx / this.ratio}px, ${dy / this.ratio}px)`;
    for (const { style } of [...this.canvases, this.frame]) style.transform = moved;
    const left = this.wipe === null || this.patch ? 0 : MARGIN + (this.wipe * this.width - dx) / this.ratio;
    this.over.canvas.style.clipPath = left ? `inset(0 0 0 ${left}px)` : "";
  }

  paintMarks() {
    const { marks, painted: look } = this;
    const line = this.brush.straight && this.brush.pieces[0];
    const { outline, tool } = this.brush;
    if (look) this.placeBox(look);
    const any = Boolean(line || outline.length || this.guide);
    if (!look || (!any && marks.canvas.hidden)) return;
    marks.canvas.hidden = !any;
    marks.setTransform(1, 0, 0, 1, 0, 0);
    marks.clearRect(0, 0, this.width + 2 * this.margin, this.height + 2 * this.margin);
    if (this.guide) drawLine(marks, this.guide, look, this.ratio);
    if (line) drawStraight(marks, line, look);
    if (outline.length) {
      const corners = tool === "polygon" && this.brush.pointer ? [...outline, this.spot(this.brush.pointer)] : outline;
      drawOutline(marks, corners, look, this.ratio);
    }
  }

  placeBox(look) {
    const { box, ratio, frame } = this;
    frame.hidden = !box;
    if (!box) return;
    const [x0, y0, x1, y1] = box.map((v, i) => Math.round((v - [look.x, look.y][i % 2]) * look.zoom) / ratio);
    Object.assign(frame.style, {
      left: `${x0 - MARGIN - EDGE}px`, top: `${y0 - MARGIN - EDGE}px`,
      width: `${x1 - x0 + 2 * EDGE}px`, height: `${y1 - y0 + 2 * EDGE}px`,
    });
  }

  // Where an event happened, in pixels of the frame, to a hundredth.
  place(event) {
    const [x, y] = this.spot(this.hand.inWindow(event));
    const [height, width] = this.size;
    // A hand may leave the picture; the store accepts no points farther out than this.
    return [Math.min(Math.max(x, -width), 2 * width), Math.min(Math.max(y, -height), 2 * height)].map(
      (v) => Math.round(v * 100) / 100,
    );
  }

  // A point of the window, in device pixels, as a point of the frame.
  spot({ x, y }) {
    return [this.look.x + x / this.look.zoom, this.look.y + y / this.look.zoom];
  }

  undo() {
    if (this.brush.outline.length) { // the last corner of a polygon
      this.brush.outline.pop();
      this.paintMarks();
      return;
    }
    if (!this.brush.pieces.length && this.ink.undo(this.author())) this.changed();
  }

  redo() {
    if (!this.brush.pieces.length && this.ink.redo()) this.changed();
  }

  // Takes strokes of another person, of which the first `frozen` became labels; without a number it stays as it was.
  replace(strokes, frozen) {
    if (frozen === undefined) this.ink.strokes = strokes;
    else this.ink.load(strokes, frozen);
    this.redraw({ ink: true });
  }

  changed() {
    this.redraw({ ink: true });
    this.told("stroke");
  }
}
