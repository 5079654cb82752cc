// "Train now": a training of some seconds on the strokes so far. The program runs it in a process of its own and keeps
// nothing; the page lays the mattes after it over those before, in this frame and three others.

import { asMask } from "./looks.js";
import { ask, framePath, picture } from "./server.js";

const AGAIN_MS = 700;
const panel = document.querySelector("#trial");
const at = (selector) => panel.querySelector(selector);

export class Trial {
  // `flush` saves strokes, `open` opens a frame of the take.
  constructor(preview, looks, flush, open) {
    Object.assign(this, { preview, looks, flush, open, said: { state: "none" }, count: 0 });
    at(":scope > button").onclick = () => this.end();
    document.querySelector("#run").addEventListener("change", () => this.show(this.frame));
  }

  async start(frame) {
    if (this.said.state === "running") return;
    this.forget();
    this.tell({ state: "running", doing: "saving the strokes" });
    try {
      if (!(await this.flush())) throw new Error("the last strokes are not saved yet");
      const run = new URLSearchParams({ run: this.looks.run });
      this.tell(await ask(`${framePath("trial", frame.at)}?${run}`, "POST"));
      while (this.said.state === "running") {
        await new Promise((later) => setTimeout(later, AGAIN_MS));
        if (this.said.state === "running") this.tell(await ask("api/trial"));
      }
    } catch (error) {
      this.tell({ state: "failed", error: error.message });
    }
    this.show(this.frame);
  }

  // Stops the training, or closes what it showed.
  async end() {
    this.forget();
    this.tell({ state: "none" });
    await ask("api/trial", "DELETE").catch((error) => this.tell({ state: "failed", error: error.message }));
  }

  forget() {
    this.count++;
    this.preview.train(null);
  }

  tell(said) {
    this.said = said;
    panel.hidden = said.state === "none";
    const words = { running: progressOf, done: resultOf, failed: ({ error }) => `No training: ${error}` }[said.state];
    at("p").textContent = words ? words(said) : "";
    at("progress").hidden = said.state !== "running";
    at("progress").value = said.of ? Math.min(1, said.seconds / said.of) : 0;
    at(":scope > button").textContent = said.state === "running" ? "Stop" : "Close";
    at("ul").replaceChildren(...(said.frames || []).map((frame) => this.row(frame)));
  }

  row({ camera, frame, before, after, changed }) {
    const item = document.createElement("li");
    const off = (share) => `${(100 * share).toFixed(0)} %`;
    const strokes = before === null ? "no strokes" : `error on its strokes ${off(before)}, now ${off(after)}`;
    const button = item.appendChild(document.createElement("button"));
    button.textContent = `${camera} · frame ${frame}: ${strokes}; the matte changed by ${(100 * changed).toFixed(1)} %`;
    button.onclick = () => this.open({ camera, frame });
    return item;
  }

  // Lays the matte after the training over the open frame, if it has one.
  async show(frame) {
    this.frame = frame;
    const { said } = this;
    const count = ++this.count;
    this.preview.train(null);
    if (!frame || said.state !== "done" || said.take !== frame.at.take || said.run !== this.looks.run) return;
    const place = said.frames.findIndex((one) => one.camera === frame.at.camera && one.frame === frame.at.frame);
    if (place < 0) return;
    const image = await asMask(await createImageBitmap(await picture(`api/trial/png/${place}`)));
    if (count !== this.count) return image.close();
    this.preview.train({ box: [0, 0, frame.size[1], frame.size[0]], image });
  }
}

function progressOf({ doing, steps, seconds, of, loss }) {
  return steps ? `${doing}: step ${steps}, ${seconds.toFixed(0)} of ${of.toFixed(0)} s, loss ${loss}` : `${doing}…`;
}

function resultOf({ steps, seconds, crop, painted, loss }) {
  return `${steps} steps in ${seconds.toFixed(0)} s on ${painted} painted frame${painted === 1 ? "" : "s"}, crops of ${crop} pixels, loss ${loss}. X shows before and after. Nothing is stored; the training after Done makes more steps.`;
}
