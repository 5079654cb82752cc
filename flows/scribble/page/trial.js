// "Train now": a training of some seconds on the strokes so far. The program runs one at a time, in a process of its own,
// and keeps nothing; the page lays the mattes after it over those before, in this frame and three others. Who began it
// can stop it, and alone sees what came of it; others see that it runs.

import { asMask } from "./looks.js";
import { ask, framePath, picture } from "./server.js";

const AGAIN_MS = 700;
const MINE = "capmat trial"; // the training that this browser began, also after a reload
const panel = document.querySelector("#trial");
const at = (selector) => panel.querySelector(selector);

export class Trial {
  // `flush` saves strokes; `open` (address, run) opens a frame with the matte of a run.
  constructor(preview, looks, flush, open) {
    Object.assign(this, { preview, looks, flush, open, count: 0 });
    at(":scope > button").onclick = () => this.close();
    document.querySelector("#run").addEventListener("change", () => this.show(this.frame));
    this.tell({ state: "none" });
  }

  // Trains, unless a training runs.
  async start({ at: address }) {
    if (this.said.state === "running") return;
    const id = Math.random().toString(36).slice(2);
    localStorage.setItem(MINE, id);
    this.preview.train(null);
    this.tell({ state: "running", doing: "saving the strokes" });
    await this.follow(async () => {
      if (!(await this.flush())) throw new Error("the last strokes are not saved yet");
      const now = await ask("api/trial");
      if (now.state === "running" || localStorage.getItem(MINE) !== id) return now; // of somebody else, or closed
      return ask(`${framePath("trial", address)}?${new URLSearchParams({ id, run: this.looks.run })}`, "POST");
    });
  }

  // Shows the training that runs, or this browser's last one.
  async resume() {
    await this.follow(() => ask("api/trial").catch(() => this.said)); // the page says itself that nobody answers
  }

  async follow(begin) {
    const count = ++this.count;
    let next = begin;
    do {
      const said = await next().catch((error) => ({ state: "failed", error: error.message }));
      if (count !== this.count) return; // closed meanwhile
      this.tell(said);
      next = () => new Promise((later) => setTimeout(later, AGAIN_MS)).then(() => ask("api/trial"));
    } while (this.said.state === "running");
    this.show(this.frame);
  }

  // Stops the own training and takes away what it showed.
  async close() {
    this.count++;
    const id = localStorage.getItem(MINE);
    localStorage.removeItem(MINE);
    this.tell({ state: "none" });
    this.preview.train(null);
    if (id) await ask(`api/trial?${new URLSearchParams({ id })}`, "DELETE").catch(() => {}); // it ends by itself
  }

  tell(said) {
    this.mine = !said.id || said.id === localStorage.getItem(MINE);
    this.said = this.mine || said.state === "running" ? said : { state: "none" };
    const { state, steps, seconds, of } = this.said;
    panel.hidden = state === "none";
    at("p").textContent = panel.hidden ? "" : this.words(this.said);
    at("progress").hidden = state !== "running";
    at("progress").value = of ? Math.min(1, seconds / of) : 0;
    at("small").textContent = steps ? `${steps} step${steps === 1 ? "" : "s"} in ${Math.round(seconds)} s` : "";
    at(":scope > button").textContent = state === "running" && this.mine ? "Stop" : "Close";
    at("ul").replaceChildren(...(this.said.frames || []).map((frame) => this.row(frame)));
  }

  words({ state, doing, error, painted, new: fresh }) {
    if (state === "failed") return `No training: ${error}`;
    if (state === "running") return `${this.mine ? "" : "Somebody else is training: "}${doing}…`;
    const also = fresh && fresh < painted ? `, ${fresh} of them new` : "";
    return `Learned from ${painted} painted frame${painted === 1 ? "" : "s"}${also}. X shows before and after; nothing of it is stored.`;
  }

  row({ camera, frame, before, after, changed }) {
    const item = document.createElement("li");
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    const button = item.appendChild(document.createElement("button"));
    button.append(Object.assign(document.createElement("b"), { textContent: `${camera} · frame ${frame}` }));
    button.append(before === null ? " has no strokes" : ` error under its strokes ${percent(before)} → ${percent(after)}`);
    button.append(`, alpha changed by ${percent(changed)}`);
    button.onclick = () => this.open({ take: this.said.take, camera, frame }, this.said.run);
    return item;
  }

  // Lays the matte after the training over the open frame, if it has one.
  async show(frame) {
    this.frame = frame;
    const { said } = this;
    if (!frame || said.state !== "done" || said.take !== frame.at.take || said.run !== this.looks.run) return;
    const place = said.frames.findIndex((one) => one.camera === frame.at.camera && one.frame === frame.at.frame);
    if (place < 0) return;
    try {
      const image = await asMask(await createImageBitmap(await picture(`api/trial/${said.id}/${place}`)));
      if (this.frame !== frame || this.said !== said || said.run !== this.looks.run) return image.close();
      this.preview.train({ box: [0, 0, frame.size[1], frame.size[0]], image });
    } catch (error) {
      at("p").textContent = `The matte is not shown: ${error.message}`;
    }
  }
}
