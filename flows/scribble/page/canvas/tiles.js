// The pyramid of a frame on a canvas: tiles are fetched when they come into sight, the coarse ones stand in for the
// fine ones until those are there. Decoded tiles of the views that were looked at lately are kept, so flipping is
// immediate.

import { picture, tilePath } from "../server.js";

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

  // What is to be drawn: { at, view, runs, levels: [[height, width], ...] }.
  show(picture) {
    this.picture = picture;
    this.waiting = [];
  }

  level(zoom) {
    const wanted = Math.floor(Math.log2(1 / Math.max(zoom, 1e-6)) + 1e-6);
    return Math.min(Math.max(wanted, 0), this.picture.levels.length - 1);
  }

  // Draws what `look` ({x, y, zoom}: device pixels per pixel of the picture) shows of the picture into some parts
  // [x, y, width, height] of a canvas of this size. Returns how many tiles are still to come.
  draw(context, look, width, height, parts) {
    const finest = this.level(look.zoom);
    const missing = [];
    const tiles = this.inSight(finest, look, width, height).map((tile) => [tile, this.bitmap(tile, missing)]);
    const coarser = [];
    if (tiles.some(([, bitmap]) => !bitmap)) {
      for (let level = this.picture.levels.length - 1; level > finest; level--) {
        for (const tile of this.inSight(level, look, width, height)) {
          const wanted = level === this.picture.levels.length - 1 ? missing : null;
          coarser.push([tile, this.bitmap(tile, wanted)]);
        }
      }
    }
    for (const part of parts) {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(...part);
      context.beginPath();
      context.rect(...part);
      context.clip();
      context.imageSmoothingEnabled = look.zoom < 3;
      for (const [tile, bitmap] of [...coarser, ...tiles]) if (bitmap) this.put(context, tile, bitmap, look, part);
      context.restore();
    }
    this.fetchSoon(missing);
    return missing.length;
  }

  // Fetches the same piece of other views, so that they are there when a key is pressed.
  foresee(others, look, width, height) {
    const missing = [];
    for (const other of others) {
      const level = this.level(look.zoom);
      for (const tile of this.inSight(level, look, width, height, other)) this.bitmap(tile, missing);
    }
    this.waiting.push(...missing);
    this.pump();
  }

  inSight(level, look, width, height, source = this.picture) {
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
          x0: c * SIDE * sx, y0: r * SIDE * sy,
          x1: Math.min((c + 1) * SIDE, w) * sx, y1: Math.min((r + 1) * SIDE, h) * sy,
        });
      }
    }
    return found;
  }

  bitmap(tile, missing) {
    const found = this.kept.get(tile.path);
    if (found === undefined && missing) missing.push(tile.path);
    if (!(found instanceof ImageBitmap)) return null;
    this.kept.delete(tile.path); // the last used is the last to go
    this.kept.set(tile.path, found);
    return found;
  }

  put(context, tile, bitmap, look, part) {
    // Whole device pixels: neighbours meet without a seam.
    const [x0, y0, x1, y1] = [
      (tile.x0 - look.x) * look.zoom, (tile.y0 - look.y) * look.zoom,
      (tile.x1 - look.x) * look.zoom, (tile.y1 - look.y) * look.zoom,
    ].map(Math.round);
    if (x0 >= part[0] + part[2] || x1 <= part[0] || y0 >= part[1] + part[3] || y1 <= part[1]) return;
    context.drawImage(bitmap, x0, y0, x1 - x0, y1 - y0);
  }

  fetchSoon(paths) {
    this.waiting = paths; // what is out of sight by now is not fetched any more
    this.pump();
  }

  pump() {
    while (this.running < AT_ONCE && this.waiting.length) {
      const path = this.waiting.shift();
      if (this.kept.has(path)) continue;
      this.kept.set(path, null);
      this.running++;
      picture(path)
        .then((blob) => createImageBitmap(blob))
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
    this.failed(error);
    setTimeout(() => { // asked for again when it is in sight then
      this.kept.delete(path);
      this.changed();
    }, 3000);
  }
}
