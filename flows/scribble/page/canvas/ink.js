// The strokes of a frame, and how they are drawn. Coordinates are pixels of the frame at full size; a stroke never
// changes once it is finished, so the shape that is drawn at one zoom is made once.

import { repainted } from "./tiles.js";

export const COLOURS = { fg: "#28e646", bg: "#ff3232" };

const shapes = new WeakMap(); // stroke -> { detail -> Path2D, box }

export function keyOf(stroke) {
  return JSON.stringify([stroke.author, stroke.time, stroke.label, stroke.radius, stroke.points]);
}

export function isOneMovement(one, other) {
  return one.author === other.author && one.label === other.label && Boolean(one.time) && one.time === other.time;
}

// The bitmap of a label (0 background, 255 foreground, between open) in the colours of strokes.
export function asLabel(bitmap) {
  const colours = { 0: COLOURS.bg, 255: COLOURS.fg };
  return repainted(bitmap, (data, i) => {
    const colour = colours[data[i]];
    for (let c = 0; c < 3; c++) data[i + c] = colour ? parseInt(colour.slice(1 + 2 * c, 3 + 2 * c), 16) : 0;
    data[i + 3] = colour ? 255 : 0;
  });
}

// How many movements of the hand made the strokes of a label.
export function movements(strokes, label) {
  const some = strokes.filter((stroke) => stroke.label === label);
  return some.filter((stroke, n) => !n || !isOneMovement(some[n - 1], stroke)).length;
}

// Their strokes, with mine since `base` on top, and without those that I undid since.
export function merged(base, mine, theirs) {
  const known = new Set(base.map(keyOf));
  const kept = new Set(mine.map(keyOf));
  const there = theirs.filter((stroke) => !known.has(keyOf(stroke)) || kept.has(keyOf(stroke)));
  const seen = new Set(there.map(keyOf));
  return [...there, ...mine.filter((stroke) => !known.has(keyOf(stroke)) && !seen.has(keyOf(stroke)))];
}

export class Ink {
  constructor(context) {
    this.context = context;
    this.load([], 0);
  }

  // The first `frozen` strokes are labels already; a stroke can erase them, undo cannot.
  load(strokes, frozen) {
    this.strokes = strokes;
    this.frozen = frozen;
    this.undone = [];
  }

  // The strokes of one movement: they have the same time.
  add(strokes) {
    this.strokes = [...this.strokes, ...strokes];
    this.undone = [];
  }

  // Undoes the last movement of this author; strokes of others stay.
  undo(author) {
    const last = this.last(author);
    if (last < 0) return false;
    let first = last;
    while (first > this.frozen && isOneMovement(this.strokes[first - 1], this.strokes[last])) first--;
    this.undone.push([first, this.strokes.slice(first, last + 1)]);
    this.strokes = this.strokes.toSpliced(first, last + 1 - first);
    return true;
  }

  redo() {
    if (!this.undone.length) return false;
    const [place, strokes] = this.undone.pop();
    this.strokes = this.strokes.toSpliced(place, 0, ...strokes);
    return true;
  }

  last(author) {
    const place = this.strokes.findLastIndex((stroke) => stroke.author === author);
    return place < this.frozen ? -1 : place;
  }

  // All of them, in some parts [x, y, width, height] of the canvas. If `onLabel`, the canvas has the label of the frozen
  // ones there already.
  draw(look, parts, onLabel) {
    const context = this.context;
    // Half a device pixel cannot be seen; powers of two let a slow zoom use the same shapes.
    const detail = 2 ** Math.floor(Math.log2(0.5 / look.zoom));
    for (const [x, y, width, height] of parts) {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      if (!onLabel) context.clearRect(x, y, width, height);
      context.beginPath();
      context.rect(x, y, width, height);
      context.clip();
      this.aim(look);
      const [left, top] = [look.x + x / look.zoom, look.y + y / look.zoom];
      const [right, bottom] = [left + width / look.zoom, top + height / look.zoom];
      for (const stroke of onLabel ? this.strokes.slice(this.frozen) : this.strokes) {
        const { box } = shapeOf(stroke);
        if (box[0] > right || box[2] < left || box[1] > bottom || box[3] < top) continue;
        this.dip(stroke);
        context.stroke(pathOf(stroke, detail));
      }
      context.restore();
    }
  }

  // Draws the newest piece of the present stroke on top.
  grow(stroke, from, look) {
    this.aim(look);
    this.dip(stroke);
    const path = new Path2D();
    trace(path, stroke.points.slice(Math.max(from - 1, 0)));
    this.context.stroke(path);
    this.context.globalCompositeOperation = "source-over";
  }

  aim(look) {
    this.context.setTransform(look.zoom, 0, 0, look.zoom, -look.x * look.zoom, -look.y * look.zoom);
    this.context.lineCap = this.context.lineJoin = "round";
  }

  dip(stroke) {
    this.context.globalCompositeOperation = stroke.label === "erase" ? "destination-out" : "source-over";
    this.context.strokeStyle = COLOURS[stroke.label] || "#000";
    this.context.lineWidth = 2 * stroke.radius;
  }
}

export function trace(path, points) {
  path.moveTo(points[0][0], points[0][1]);
  if (points.length === 1) path.lineTo(points[0][0] + 1e-3, points[0][1]); // a dot
  for (let i = 1; i < points.length; i++) path.lineTo(points[i][0], points[i][1]);
}

function shapeOf(stroke) {
  let shape = shapes.get(stroke);
  if (!shape) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of stroke.points) {
      box[0] = Math.min(box[0], x - stroke.radius);
      box[1] = Math.min(box[1], y - stroke.radius);
      box[2] = Math.max(box[2], x + stroke.radius);
      box[3] = Math.max(box[3], y + stroke.radius);
    }
    shape = { box, paths: new Map() };
    shapes.set(stroke, shape);
  }
  return shape;
}

function pathOf(stroke, detail) {
  const { paths } = shapeOf(stroke);
  let path = paths.get(detail);
  if (!path) {
    path = new Path2D();
    trace(path, thinned(stroke.points, detail));
    paths.set(detail, path);
  }
  return path;
}

// Without the points that lie closer than `gap` to the one before; the last one stays.
function thinned(points, gap) {
  const kept = [points[0]];
  for (const point of points) {
    const [x, y] = kept[kept.length - 1];
    if (Math.hypot(point[0] - x, point[1] - y) >= gap) kept.push(point);
  }
  const last = points[points.length - 1];
  if (points.length > 1 && kept[kept.length - 1] !== last) kept.push(last);
  return kept;
}
