// The whole picture, small, in a corner while only a part of it is seen; a press there goes to that place.

import { picture, tilePath } from "../server.js";

const SIDE = 168; // pixels of the window
const element = document.querySelector("#overview");

export class Overview {
  constructor(stage) {
    this.stage = stage;
    this.image = element.querySelector("canvas");
    this.frame = element.querySelector("i");
    element.onpointerdown = (event) => {
      element.setPointerCapture(event.pointerId);
      this.goTo(event);
    };
    element.onpointermove = (event) => element.hasPointerCapture(event.pointerId) && this.goTo(event);
  }

  // `levels`: of the picture's pyramid, of which the last is one tile.
  async open(address, levels) {
    const path = tilePath(address, "picture", [], levels.length - 1, 0, 0);
    this.path = path;
    const [height, width] = levels.at(-1);
    this.scale = Math.min(SIDE / width, SIDE / height) * (width / levels[0][1]);
    Object.assign(this.image, { width, height });
    element.style.width = `${Math.round(levels[0][1] * this.scale)}px`;
    element.style.height = `${Math.round(levels[0][0] * this.scale)}px`;
    this.moved();
    const bitmap = await picture(path).then(createImageBitmap, () => null); // without it the frame alone is shown
    if (bitmap && this.path === path) this.image.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap?.close();
  }

  // Call it when the view has moved.
  moved() {
    const { look, width, height, size } = this.stage;
    if (!size || !this.scale) return;
    const [w, h] = [width / look.zoom, height / look.zoom];
    element.hidden = w >= size[1] && h >= size[0];
    const [left, top] = [Math.max(look.x, 0), Math.max(look.y, 0)];
    const box = { left, top, width: Math.min(look.x + w, size[1]) - left, height: Math.min(look.y + h, size[0]) - top };
    for (const [side, length] of Object.entries(box)) this.frame.style[side] = `${length * this.scale}px`;
  }

  goTo(event) {
    const { stage } = this;
    const box = element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / this.scale, (event.clientY - box.top) / this.scale];
    const { zoom } = stage.look;
    stage.go(x - stage.width / zoom / 2, y - stage.height / zoom / 2, zoom);
  }
}
