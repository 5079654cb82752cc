// A point that a person marks in one picture, and the line on which it lies in those of the other cameras at the same
// moment. Two such lines of different cameras would meet in the point itself.

import { ask, framePath } from "./server.js";

export class Point {
  constructor(stage, note) {
    Object.assign(this, { stage, note, marked: null });
  }

  // Marks the place under the pointer; in the picture where a point is marked it takes that back.
  async flip(frame) {
    const { look, brush: { pointer } } = this.stage;
    const here = this.marked && isSame(this.marked.at, frame.at);
    this.marked = null;
    this.stage.line(null);
    if (here || !pointer) return;
    const [x, y] = [look.x + pointer.x / look.zoom, look.y + pointer.y / look.zoom];
    const marked = { at: frame.at, x, y };
    try {
      marked.lines = (await ask(`${framePath("lines", frame.at)}?${new URLSearchParams({ x, y })}`)).lines;
    } catch (error) {
      this.note("point", `The point has no line in the other cameras: ${error.message}.`);
      return;
    }
    this.note("point", "");
    this.marked = marked;
    this.stage.line([[x, y]]);
  }

  // Shows the marked point, or its line, in a frame.
  show({ at }) {
    const { marked } = this;
    const same = marked && marked.at.take === at.take && marked.at.frame === at.frame;
    if (same && marked.at.camera === at.camera) this.stage.line([[marked.x, marked.y]]);
    else this.stage.line(same && marked.lines[at.camera]?.length ? marked.lines[at.camera] : null);
  }
}

function isSame(a, b) {
  return a.take === b.take && a.camera === b.camera && a.frame === b.frame;
}
