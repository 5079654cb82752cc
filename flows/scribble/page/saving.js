// Strokes go to the store while people draw. Until the store has them they are also kept by the browser, so neither a
// full disk nor a closed tab loses one. If two people save the same frame, both sets of strokes are joined. Each page
// keeps its own under its own key, because two tabs may have the same frame.

import { Unreachable, ask, drawingOf, framePath } from "./server.js";
import { merged } from "./canvas/ink.js";

const PREFIX = "capmat ";
const QUIET_MS = 600;
const AGAIN_MS = 4000;
const PAGE = Math.random().toString(36).slice(2);

export class Saving {
  constructor(told, joined) {
    this.told = told; // ("saved", "waiting", "kept" (the program does not answer) or "trouble", words)
    this.joined = joined; // (at, strokes): somebody else's strokes came in
    this.open = new Map(); // name of the frame -> what is not saved yet
    this.last = new Map(); // name of the frame -> what was saved last
  }

  // A frame as the store has it; returns the strokes, with those that only this browser has.
  begin(frame) {
    this.entry = this.entryOf(frame);
    return this.entry.strokes;
  }

  // Sends what an earlier page of this address could not send, whichever frame is shown.
  async recover(takes) {
    const names = new Set(takes.map((take) => take.name));
    for (const name of Object.keys(localStorage).filter((key) => key.startsWith(PREFIX))) {
      const [take, camera, frame] = name.slice(PREFIX.length).split("/");
      if (!frame || !names.has(take)) continue;
      const at = { take, camera, frame: Number(frame) };
      const found = await ask(framePath("frame", at)).catch(() => null); // kept for the next time
      if (found) this.entryOf({ at, size: found.levels[0], strokes: found.strokes, revision: found.revision });
    }
    this.say();
  }

  entryOf(frame) {
    const name = nameOf(frame.at);
    let entry = this.open.get(name);
    if (!entry) {
      const last = this.last.get(name);
      if (last?.revision > frame.revision) return last; // saved after the program had read this answer
      entry = { at: frame.at, size: frame.size, base: frame.strokes, revision: frame.revision, strokes: frame.strokes };
      const left = keysOf(name);
      for (const key of left) {
        const { base, strokes } = JSON.parse(localStorage.getItem(key));
        entry.strokes = merged(base, strokes, entry.strokes);
      }
      if (left.length) {
        this.open.set(name, entry);
        if (this.keepHere(entry)) for (const key of left) localStorage.removeItem(key);
        this.soon(entry, 0);
      }
    }
    return entry;
  }

  // Call it when the strokes of the present frame have changed.
  change(strokes) {
    const entry = this.entry;
    entry.strokes = strokes;
    this.open.set(nameOf(entry.at), entry);
    this.keepHere(entry);
    this.soon(entry, QUIET_MS);
    this.say();
  }

  // Saves all that waits; resolves when the store has everything, or has refused.
  async flush() {
    for (let tries = 0; this.open.size && tries < 4; tries++) { // again where somebody else's strokes came in between
      await Promise.all([...this.open.values()].map((entry) => this.save(entry)));
    }
    return this.open.size === 0;
  }

  get waiting() {
    return this.open.size > 0;
  }

  soon(entry, wait) {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.save(entry), wait);
  }

  save(entry) {
    clearTimeout(entry.timer);
    entry.running = (entry.running || Promise.resolve()).then(() => this.put(entry));
    return entry.running;
  }

  async put(entry) {
    if (this.open.get(nameOf(entry.at)) !== entry) return; // saved meanwhile
    const strokes = entry.strokes;
    try {
      const path = `${framePath("strokes", entry.at)}?after=${entry.revision}`;
      const found = await ask(path, "PUT", drawingOf(entry.at, entry.size, strokes));
      entry.base = strokes;
      entry.revision = found.revision;
      if (found.strokes) { // some that were undone are labels since
        this.join(entry, found);
        this.soon(entry, 0);
      }
      entry.trouble = "";
      entry.kept = false;
      if (entry.strokes === strokes) this.saved(entry);
      document.dispatchEvent(new CustomEvent("capmat:saved", { detail: { at: entry.at, strokes } }));
    } catch (error) {
      entry.kept = error instanceof Unreachable;
      entry.trouble = "";
      if (error.status === 409) this.join(entry, error.body);
      else if (error.status === 400) entry.trouble = `The store refuses these strokes: ${error.message}`;
      else if (error.status === 403) entry.trouble = "The program was restarted. Open its new link.";
      else if (error.status) entry.trouble = `Not saved yet; this browser keeps the strokes: ${error.message}`;
      this.soon(entry, error.status === 409 ? 0 : AGAIN_MS);
    }
    this.say();
  }

  join(entry, found) {
    const strokes = merged(entry.base, entry.strokes, found.strokes);
    entry.base = found.strokes;
    entry.revision = found.revision;
    entry.strokes = strokes;
    this.keepHere(entry);
    this.joined(entry.at, strokes, found.frozen);
  }

  saved(entry) {
    this.open.delete(nameOf(entry.at));
    this.last.set(nameOf(entry.at), entry);
    localStorage.removeItem(ownKey(entry.at));
  }

  say() {
    const entries = [...this.open.values()];
    const trouble = entries.find((entry) => entry.trouble);
    if (trouble) this.told("trouble", trouble.trouble);
    else if (entries.some((entry) => entry.kept)) this.told("kept");
    else this.told(entries.length ? "waiting" : "saved");
  }

  // Whether the browser had room for them; the tab has them in any case.
  keepHere(entry) {
    try {
      localStorage.setItem(ownKey(entry.at), JSON.stringify({ base: entry.base, strokes: entry.strokes }));
      return true;
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      return false;
    }
  }
}

function ownKey(at) {
  return `${nameOf(at)}/${PAGE}`;
}

// Where pages of this browser keep strokes on a frame; earlier versions used the name alone.
function keysOf(name) {
  return Object.keys(localStorage).filter((key) => key === name || key.startsWith(`${name}/`));
}

function nameOf(at) {
  return `${PREFIX}${at.take}/${at.camera}/${at.frame}`;
}
