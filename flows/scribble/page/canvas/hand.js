// Mouse, pen and fingers on the picture. One finger paints until a pen is seen; from then on fingers only move the
// picture, so a resting hand paints nothing. Two fingers move and zoom, and end whatever the first of them began.

const PALM_PX = 80; // wider contacts are hands
const AFTER_PEN_MS = 500; // a hand that still rests while the pen is lifted
const TAP_MS = 300;
const TAP_PX = 14;
const WHEEL_LIMIT = 240;
const PEN = "capmat pen only";

export class Hand {
  constructor(stage, brush) {
    Object.assign(this, { stage, brush, element: stage.element });
    this.held = new Map(); // pointers that move the picture, by id -> { x, y } in the window
    this.painter = null; // the pointer that paints: { id, type, at }
    this.penAt = -Infinity; // when a pen was last seen
    this.penOnly = localStorage.getItem(PEN) === "yes";
    const on = (name, act, options) => {
      const own = (event) => event.target.closest(".own") || act(event); // what lies on the picture hears its own events
      this.element.addEventListener(name, own, options);
    };
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.moved(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => this.up(event));
    on("pointerleave", () => this.element.classList.remove("painting"));
  }

  // The person's own choice stays; without one, the first pen makes it.
  usePenOnly(only) {
    this.penOnly = only;
    localStorage.setItem(PEN, only ? "yes" : "no");
    this.stage.told("pen");
  }

  wheel(event) {
    event.preventDefault();
    if (!this.stage.size || event.deltaY === 0) return;
    const { x, y } = this.inWindow(event);
    const turned = event.deltaMode ? event.deltaY * 30 : event.deltaY;
    const factor = 1.0018 ** -Math.min(Math.max(turned, -WHEEL_LIMIT), WHEEL_LIMIT);
    // A trackpad tells a pinch as a turn of the wheel with Ctrl.
    if (event.ctrlKey || event.metaKey || this.space) this.stage.zoomBy(factor, x, y);
    else this.brush.resize(this.brush.radius * factor);
  }

  down(event) {
    if (!this.stage.size || this.isPalm(event)) return;
    if (event.pointerType === "pen") this.seePen(event);
    const touch = event.pointerType === "touch";
    if (!touch && (this.painter || this.held.size)) return;
    this.element.focus();
    this.element.setPointerCapture(event.pointerId);
    if (touch) this.beginTap(event);
    if (touch && this.painter) this.takeFromPainter();
    const paints = touch ? !this.held.size && !this.penOnly : event.button === 0 || Boolean(event.buttons & 32);
    if (paints && !this.space) {
      this.painter = { id: event.pointerId, type: event.pointerType, at: this.inWindow(event) };
      this.brush.begin(event);
      return;
    }
    this.held.set(event.pointerId, this.inWindow(event));
    this.element.classList.add("moving", "held");
    this.element.classList.remove("painting");
    this.anchor();
  }

  moved(event) {
    if (!this.stage.size) return;
    if (event.pointerType === "pen") this.seePen(event);
    const at = this.inWindow(event);
    if (this.tap && event.pointerType === "touch") {
      const start = this.tap.starts.get(event.pointerId);
      if (start && Math.hypot(at.x - start.x, at.y - start.y) > TAP_PX * this.stage.ratio) this.tap.moved = true;
    }
    if (this.held.has(event.pointerId)) {
      this.held.set(event.pointerId, at);
      this.follow();
      return;
    }
    const paints = event.pointerId === this.painter?.id;
    const hovers = event.pointerType !== "touch" && !this.painter && !this.held.size;
    if (!hovers && !paints) return;
    if (!this.space) this.element.classList.add("painting");
    this.brush.moveRing(at);
    if (!paints) return;
    this.painter.at = at;
    this.brush.extend(event);
  }

  up(event) {
    if (event.pointerType === "pen") this.penAt = event.timeStamp;
    if (event.pointerId === this.painter?.id) {
      this.painter = null;
      event.type === "pointerup" ? this.brush.end(event) : this.brush.cancel();
    } else if (this.held.delete(event.pointerId)) {
      this.anchor();
      if (!this.held.size) this.element.classList.remove("held");
      if (!this.held.size && !this.space) this.element.classList.remove("moving");
    }
    if (event.pointerType === "touch" && this.tap && !this.held.size && !this.painter) this.endTap(event);
  }

  hold(space) {
    this.space = space;
    this.element.classList.toggle("moving", space);
    this.element.classList.toggle("painting", !space && Boolean(this.brush.pointer));
  }

  // ---- fingers

  isPalm(event) {
    if (event.pointerType !== "touch") return false;
    if (this.painter && this.painter.type !== "touch") return true;
    return Math.max(event.width, event.height) > PALM_PX || event.timeStamp - this.penAt < AFTER_PEN_MS;
  }

  seePen(event) {
    this.penAt = event.timeStamp;
    if (event.type === "pointerdown") { // what touches now is the hand that holds it
      if (this.painter) this.brush.cancel();
      this.painter = this.tap = null;
      this.held.clear();
    }
    if (localStorage.getItem(PEN) === null) this.usePenOnly(true);
  }

  takeFromPainter() {
    this.brush.cancel();
    this.held.set(this.painter.id, this.painter.at);
    this.painter = null;
  }

  // Two fingers that touch and leave at once without moving undo, three redo. A double tap of one finger would be
  // two dots of paint, and is made by accident.
  beginTap(event) {
    if (!this.held.size && !this.painter) this.tap = { since: event.timeStamp, starts: new Map(), moved: false };
    this.tap?.starts.set(event.pointerId, this.inWindow(event));
  }

  endTap(event) {
    const { since, starts, moved } = this.tap;
    this.tap = null;
    if (event.type !== "pointerup" || moved || event.timeStamp - since > TAP_MS) return;
    if (starts.size === 2) this.stage.undo();
    if (starts.size === 3) this.stage.redo();
  }

  // Where the held pointers are: their middle, and how far they are from it.
  middle() {
    const all = [...this.held.values()];
    const x = all.reduce((sum, one) => sum + one.x, 0) / all.length;
    const y = all.reduce((sum, one) => sum + one.y, 0) / all.length;
    const apart = all.reduce((sum, one) => sum + Math.hypot(one.x - x, one.y - y), 0) / all.length;
    return { x, y, apart };
  }

  anchor() {
    this.start = this.held.size ? { ...this.middle(), look: this.stage.look } : null;
  }

  follow() {
    const { x, y, apart, look } = this.start;
    const now = this.middle();
    const zoom = this.stage.allowed(apart ? (look.zoom * now.apart) / apart : look.zoom);
    this.stage.go(look.x + x / look.zoom - now.x / zoom, look.y + y / look.zoom - now.y / zoom, zoom);
  }

  // In device pixels of the window on the picture.
  inWindow(event) {
    const frame = this.element.getBoundingClientRect();
    return { x: (event.clientX - frame.left) * this.stage.ratio, y: (event.clientY - frame.top) * this.stage.ratio };
  }
}
