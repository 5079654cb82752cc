// What the strokes on the open frame would change in its matte, laid over it a moment after each stroke. The program
// computes it from the strokes alone; it is a guess of what a training would learn from them, and is never stored.

import { asMask } from "./looks.js";
import { ask, drawingOf, framePath } from "./server.js";

const QUIET_MS = 250;
const PAGE = Math.random().toString(36).slice(2); // a later request of the same page ends an earlier one

export class Preview {
  constructor(stage, looks) {
    Object.assign(this, { stage, looks, on: true, count: 0, patch: null });
    this.button = document.querySelector("#preview");
    this.button.onclick = () => this.flip();
    document.querySelector("#run").addEventListener("change", () => this.change(this.strokes));
  }

  // A frame, with the strokes that it has.
  open(frame, strokes) {
    this.frame = frame;
    this.lay(null);
    this.change(strokes);
  }

  change(strokes) {
    this.strokes = strokes;
    this.count++;
    clearTimeout(this.timer);
    const any = strokes.length > 0 && this.frame.runs.length > 0;
    this.button.hidden = !any;
    this.button.ariaBusy = any;
    if (!any) this.lay(null);
    else this.timer = setTimeout(() => this.make(), QUIET_MS);
  }

  // Shows the stored matte, or the preview again.
  flip() {
    this.on = !this.on;
    this.button.setAttribute("aria-pressed", this.on);
    this.stage.lay(this.on ? this.patch : null);
  }

  // Lays the matte of a training until there are other strokes; null for the preview again.
  train(patch) {
    if (!patch) return this.frame && this.change(this.strokes);
    this.count++;
    clearTimeout(this.timer);
    if (!this.on) this.flip();
    this.button.hidden = false;
    this.lay(patch);
    this.say("Trained", "The matte after the training, not stored; again for the stored one (X)");
  }

  async make() {
    const { at, size } = this.frame;
    const { count, strokes } = this;
    const query = new URLSearchParams({ run: this.looks.run, page: PAGE });
    this.button.textContent = "Preview…";
    try {
      const found = await ask(`${framePath("preview", at)}?${query}`, "POST", drawingOf(at, size, strokes));
      const image = found.box && (await asMask(await bitmap(found.png)));
      if (count !== this.count) return image?.close();
      this.lay(image && { box: found.box, image });
      this.say("Preview", found.box ? "" : "These strokes change nothing in the matte.");
    } catch (error) {
      if (count !== this.count) return;
      this.lay(null);
      this.say("No preview", error.message);
    }
  }

  lay(patch) {
    const before = this.patch;
    this.patch = patch;
    this.stage.lay(this.on ? patch : null);
    before?.image.close();
  }

  say(words, why) {
    this.button.textContent = words;
    this.button.ariaBusy = false;
    this.button.title = why || "The matte as these strokes would have it, not stored; again for the stored one (X)";
  }
}

function bitmap(png) {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}
