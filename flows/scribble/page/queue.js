// The list at the left: mined frames, the best first, each with its reason; or all cameras of one frame.

import { WORDS } from "./marks.js";
import { picture, tilePath } from "./server.js";

const AGAIN_MS = 3000;
const KINDS = { // of what mining measures
  hole: "parts of the subject are lost", halo: "stage is kept by mistake", teacher: "teacher and student disagree",
  err: "the student expects to be wrong", soft: "half transparent away from edges", unsteady: "changes when it is flipped",
  jump: "jumps between two frames", residual: "neither subject nor stage fits",
};
const at = (selector) => document.querySelector(selector);

// The strongest of the measures that an item was mined for.
function kindOf({ signals = {} }) {
  return Object.keys(signals).sort((one, other) => signals[other] - signals[one])[0] || "";
}

export function nameOf(at) {
  return `${at.camera}/${at.frame}`;
}

export class Queue {
  constructor(chosen) {
    this.chosen = chosen; // (item)
    this.list = document.querySelector("#queue");
    at("#only-camera").onchange = at("#only-kind").onchange = () => this.show();
    this.list.addEventListener("keydown", (event) => this.pressed(event));
    this.items = [];
    this.thumbs = new Map(); // path -> promise of an address
    this.seen = new IntersectionObserver((found) => found.forEach((one) => one.isIntersecting && this.load(one.target)), {
      root: this.list, rootMargin: "300px",
    });
  }

  // Fills the list from the take of `api/desk`; without mined frames it lists the cameras of `frame`.
  fill(take, frame) {
    this.take = take;
    const mined = take.queue ? take.queue.items : [];
    const place = (camera, number) => ({ take: take.name, camera, frame: number });
    const items = mined.map((item) => ({ ...item, at: place(item.camera, item.frame) }));
    const listed = new Set(items.map((item) => nameOf(item.at)));
    const also = Object.keys(take.drafts).filter((name) => !listed.has(name));
    if (!mined.length) for (const camera of Object.keys(take.cameras)) items.push({ at: place(camera, frame), reasons: [] });
    const others = also.map((name) => {
      const [camera, number] = name.split("/");
      return { at: place(camera, Number(number)), reasons: [] };
    }).filter((item) => mined.length || item.at.frame !== frame);
    this.all = [...items, ...others];
    this.heading = mined.length ? "Most promising first" : `Every camera at frame ${frame}`;
    this.isMined = (item) => items.includes(item);
    at("#filters").hidden = !mined.length;
    const names = (key) => [...new Set(mined.map(key))].sort();
    at("#only-camera").replaceChildren(new Option("Every camera", ""), ...names((item) => item.camera).map((name) => new Option(name)));
    at("#only-kind").replaceChildren(new Option("Every reason", ""), ...names(kindOf).map((kind) => new Option(KINDS[kind] || kind, kind)));
    this.show();
  }

  // Lists what the filters let through.
  show() {
    const [camera, kind] = [at("#only-camera").value, at("#only-kind").value];
    this.items = this.all.filter((item) => (!camera || item.at.camera === camera) && (!kind || kindOf(item) === kind));
    this.list.replaceChildren();
    this.seen.disconnect();
    let part;
    const begin = (text) => {
      part = this.list.appendChild(document.createElement("div"));
      part.setAttribute("role", "group");
      part.setAttribute("aria-label", text);
      const heading = part.appendChild(Object.assign(document.createElement("h3"), { textContent: text }));
      heading.setAttribute("role", "presentation");
    };
    begin(this.heading);
    this.items.forEach((item, place) => {
      if (!this.isMined(item) && (!place || this.isMined(this.items[place - 1]))) begin("Also painted");
      part.append(this.row(item, place));
    });
    this.mark();
  }

  row(item, place) {
    const row = document.createElement("div");
    row.className = "item";
    row.setAttribute("role", "option");
    row.dataset.name = nameOf(item.at);
    row.dataset.place = place;
    row.id = `box-${place}`;
    const thumb = row.appendChild(document.createElement("div"));
    thumb.className = "thumb";
    const words = row.appendChild(document.createElement("div"));
    words.className = "words";
    const title = words.appendChild(document.createElement("b"));
    title.textContent = `${item.at.camera} · ${item.at.frame}`;
    const why = words.appendChild(document.createElement("p"));
    why.textContent = item.reasons[0] || "";
    why.title = item.reasons.join("; ");
    const marks = words.appendChild(document.createElement("div"));
    marks.className = "marks";
    row.addEventListener("click", () => this.chosen(item));
    this.seen.observe(row);
    return row;
  }

  load(row) {
    this.seen.unobserve(row);
    const item = this.items[row.dataset.place];
    const levels = this.take.cameras[item.at.camera];
    if (!levels) return;
    const path = tilePath(item.at, "picture", [], levels.length - 1, 0, 0);
    if (!this.thumbs.has(path)) this.thumbs.set(path, picture(path).then((blob) => URL.createObjectURL(blob)));
    this.thumbs.get(path).then((address) => {
      const holder = document.createElement("span");
      const image = holder.appendChild(new Image());
      image.alt = "";
      image.src = address;
      if (item.box) {
        const [height, width] = levels[0];
        const box = holder.appendChild(document.createElement("i"));
        const [x0, y0, x1, y1] = item.box;
        Object.assign(box.style, {
          left: `${(100 * x0) / width}%`, top: `${(100 * y0) / height}%`,
          width: `${(100 * (x1 - x0)) / width}%`, height: `${(100 * (y1 - y0)) / height}%`,
        });
      }
      row.querySelector(".thumb").replaceChildren(holder);
    }, () => {
      this.thumbs.delete(path);
      setTimeout(() => this.seen.observe(row), AGAIN_MS);
    });
  }

  // Marks painted frames and the open one.
  mark() {
    const { take } = this;
    for (const row of this.list.querySelectorAll(".item")) {
      const { name } = row.dataset;
      const item = this.items[row.dataset.place];
      const here = item === this.current;
      row.classList.toggle("here", here);
      row.setAttribute("aria-selected", here);
      const marks = row.querySelector(".marks");
      marks.replaceChildren();
      const draft = take.drafts[name];
      for (const label of ["fg", "bg"]) {
        if (!draft?.[label]) continue;
        marks.append(Object.assign(document.createElement("i"), { className: `dot ${label}` }));
        marks.append(Object.assign(document.createElement("span"), { className: "n", textContent: draft[label] }));
      }
      if (take.labelled.includes(name)) {
        marks.append(Object.assign(document.createElement("span"), { className: "frozen", textContent: "✓", title: "in the newest label set" }));
      }
      if (item.mark) {
        marks.append(Object.assign(document.createElement("span"), { className: "said", textContent: WORDS[item.mark] }));
      }
      if (item.score !== undefined) {
        const score = marks.appendChild(document.createElement("span"));
        score.className = "score";
        score.title = `promise ${item.score.toFixed(2)}`;
        score.appendChild(document.createElement("i")).style.width = `${100 * item.score}%`;
      }
    }
  }

  open(item) {
    this.current = item;
    this.mark();
    const row = this.list.querySelector(".item.here");
    row?.scrollIntoView({ block: "nearest" });
    this.list.setAttribute("aria-activedescendant", row?.id || "");
  }

  pressed(event) {
    const last = this.items.length - 1;
    const place = this.items.indexOf(this.current);
    const next = { ArrowDown: Math.min(place + 1, last), ArrowUp: Math.max(place - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (next !== place) this.chosen(this.items[next]);
  }

  // The item before or behind the current one, around the end.
  beside(step) {
    const place = this.items.indexOf(this.current);
    const from = place < 0 && step < 0 ? 0 : place; // the open frame may be filtered out
    return this.items[(from + step + this.items.length) % this.items.length];
  }

  // The item of a frame, and of a box if it is given.
  find(at, box) {
    return this.all.find((item) => nameOf(item.at) === nameOf(at) && (!box || String(item.box) === box));
  }
}
