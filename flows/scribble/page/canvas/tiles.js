// The pyramids of a frame on canvases: tiles are fetched when they come into sight, the coarse ones stand in for the
// fine ones until those are there. Decoded tiles of the views that were looked at lately are kept, so flipping is
// immediate.
//
// A source is what is drawn: { at, view, runs, levels: [[height, width], ...] }. Its `decode` may turn the bitmap of a
// tile into another one. `paint` is a list of [composite operation, style] that fill its tiles afterwards: a matte as
// a tint, or a colour around the subject. `patch`, { box, image, from }, takes the place of the tiles in a box (x0, y0,
// x1, y1) of the frame, to the right of column `from` of the canvas.

import { Unreachable, picture, tilePath } from "../server.js";

const SIDE = 512;
const KEPT = 240; // decoded tiles, a megabyte each
const AT_ONCE = 6;

export class Tiles {
  constructor(changed, failed) {
    this.changed = changed;
    this.failed = failed;
    this.kept = new Map(); // path -> ImageBitmap, or null while it is fetched, or an Error
    this.waiting = [];
    this.running = 0;
  }

  // Draws what `look` ({x, y, zoom}: device pixels per pixel of the picture) shows of a source into some parts
  // [x, y, width, height] of a canvas of this size. Returns the tiles that are still to come.
  draw(context, source, look, width, height, parts) {
    const finest = levelOf(source, look.zoom);
    const missing = [];
    const tiles = this.inSight(source, finest, look, width, height).map((tile) => [tile, this.bitmap(tile, missing)]);
    const coarser = [];
    if (tiles.some(([, bitmap]) => !bitmap)) {
      for (let level = source.levels.length - 1; level > finest; level--) {
        for (const tile of this.inSight(source, level, look, width, height)) {
          const wanted = level === source.levels.length - 1 ? [] : null;
          coarser.push([tile, this.bitmap(tile, wanted)]);
          if (wanted) missing.unshift(...wanted); // something is seen at once
        }
      }
    }
    const found = [...coarser, ...tiles].filter(([, bitmap]) => bitmap);
    for (const part of parts) {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(...part);
      context.beginPath();
      context.rect(...part);
      context.clip();
      context.imageSmoothingEnabled = look.zoom < 3;
      const area = new Path2D();
      for (const [tile, bitmap] of found) put(context, [tile.x0, tile.y0, tile.x1, tile.y1], bitmap, look, area);
      if (source.patch && found.length) this.lay(context, source.patch, look, part);
      for (const [operation, style] of source.paint || []) {
        context.globalCompositeOperation = operation;
        context.fillStyle = typeof style === "string" ? style : anchored(style, look);
        context.fill(area);
      }
      context.restore();
    }
    return missing;
  }

  lay(context, { box, image, from }, look, [, top, , height]) {
    context.save();
    context.beginPath();
    context.rect(from, top, context.canvas.width, height);
    context.clip();
    put(context, box, image, look, new Path2D());
    context.restore();
  }

  // Fetches the same piece of other views, so that they are there when a key is pressed.
  foresee(others, look, width, height) {
    const missing = [];
    for (const other of others) {
      const level = levelOf(other, look.zoom);
      for (const tile of this.inSight(other, level, look, width, height)) this.bitmap(tile, missing);
    }
    this.waiting.push(...missing);
    this.pump();
  }

  inSight(source, level, look, width, height) {
    const [h, w] = source.levels[level];
    const [full, wide] = source.levels[0];
    const [sy, sx] = [full / h, wide / w]; // pixels of the picture per pixel of the level
    const found = [];
    const first = (low, scale) => Math.max(0, Math.floor(low / scale / SIDE));
    const last = (high, scale, side) => Math.min(Math.ceil(side / SIDE) - 1, Math.floor(high / scale / SIDE));
    for (let r = first(look.y, sy); r <= last(look.y + height / look.zoom, sy, h); r++) {
      for (let c = first(look.x, sx); c <= last(look.x + width / look.zoom, sx, w); c++) {
        found.push({
          path: tilePath(source.at, source.view, source.runs, level, r, c),
          decode: source.decode,
          x0: c * SIDE * sx, y0: r * SIDE * sy,
          x1: Math.min((c + 1) * SIDE, w) * sx, y1: Math.min((r + 1) * SIDE, h) * sy,
        });
      }
    }
    return found;
  }

  bitmap(tile, missing) {
    const found = this.kept.get(tile.path);
    if (found === undefined && missing) missing.push(tile);
    if (!(found instanceof ImageBitmap)) return null;
    this.kept.delete(tile.path); // the last used is the last to go
    this.kept.set(tile.path, found);
    return found;
  }

  fetchSoon(tiles) {
    this.waiting = tiles; // what is out of sight by now is not fetched any more
    this.pump();
  }

  pump() {
    while (this.running < AT_ONCE && this.waiting.length) {
      const { path, decode } = this.waiting.shift();
      if (this.kept.has(path)) continue;
      this.kept.set(path, null);
      this.running++;
      picture(path)
        .then((blob) => createImageBitmap(blob))
        .then((bitmap) => (decode ? decode(bitmap) : bitmap))
        .then((bitmap) => this.keep(path, bitmap), (error) => this.lost(path, error))
        .finally(() => {
          this.running--;
          this.pump();
          this.changed();
        });
    }
  }

  keep(path, bitmap) {
    this.kept.set(path, bitmap);
    for (const [old, found] of this.kept) {
      if (this.kept.size <= KEPT) break;
      if (!(found instanceof ImageBitmap)) continue;
      found.close();
      this.kept.delete(old);
    }
  }

  lost(path, error) {
    this.kept.set(path, error);
    if (!(error instanceof Unreachable)) this.failed(error);
    setTimeout(() => { // asked for again when it is in sight then
      this.kept.delete(path);
      this.changed();
    }, 3000);
  }
}

// The bitmap with other pixels: `change(data, i)` writes the four values of each, which begin at i.
export function repainted(bitmap, change) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < image.data.length; i += 4) change(image.data, i);
  return createImageBitmap(image);
}

function levelOf(source, zoom) {
  const wanted = Math.floor(Math.log2(1 / Math.max(zoom, 1e-6)) + 1e-6);
  return Math.min(Math.max(wanted, 0), source.levels.length - 1);
}

// Draws an image in place of what is there.
function put(context, [left, top, right, bottom], image, look, area) {
  // Whole device pixels: neighbours meet without a seam.
  const [x0, y0, x1, y1] = [
    (left - look.x) * look.zoom, (top - look.y) * look.zoom, (right - look.x) * look.zoom, (bottom - look.y) * look.zoom,
  ].map(Math.round);
  context.clearRect(x0, y0, x1 - x0, y1 - y0);
  context.drawImage(image, x0, y0, x1 - x0, y1 - y0);
  area.rect(x0, y0, x1 - x0, y1 - y0);
}

// A pattern that moves with the picture.
function anchored(pattern, look) {
  pattern.setTransform(new DOMMatrix().translate(Math.round(-look.x * look.zoom), Math.round(-look.y * look.zoom)));
  return pattern;
}
