// The brush, and the stroke that a person is making. A pen's pressure changes the radius; as a stored stroke has one
// radius, such a movement is stored as several strokes with the same time, and undone as one.

const THINNEST = 0.75;
const THICKEST = 2048;
const STEP = 1.15; // between two radii of one movement

export class Brush {
  constructor(stage, author) {
    Object.assign(this, { stage, author, label: "fg", radius: 8, pointer: null });
    this.ring = document.querySelector("#ring");
    this.pieces = []; // of the present movement; empty while nobody paints
    this.straight = false;
  }

  choose(label) {
    this.label = label;
    this.ring.className = label;
  }

  resize(radius) {
    this.radius = Math.min(Math.max(radius, THINNEST), THICKEST);
    this.moveRing();
  }

  // `pointer`: where it is, in device pixels of the window.
  moveRing(pointer = this.pointer) {
    this.pointer = pointer;
    if (!pointer) return;
    const { ratio, look } = this.stage;
    const side = Math.max((2 * this.radius * look.zoom) / ratio, 3);
    this.ring.style.width = this.ring.style.height = `${side}px`;
    this.ring.style.transform = `translate(${pointer.x / ratio - side / 2}px, ${pointer.y / ratio - side / 2}px)`;
  }

  begin(event) {
    this.straight = event.shiftKey;
    this.pressed = 0;
    const label = event.buttons & 32 ? "erase" : this.label; // the other end of a pen
    this.pieces = [{ label, radius: this.pressedRadius(event), points: [this.stage.place(event)] }];
    this.stage.element.classList.remove("bare");
    this.straight ? this.stage.paintMarks() : this.stage.grow(this.pieces[0], 0);
  }

  extend(event) {
    if (this.straight) {
      this.pieces[0].points = [this.pieces[0].points[0], this.stage.place(event)];
      this.stage.paintMarks();
      return;
    }
    const all = event.getCoalescedEvents?.() || [];
    for (const each of all.length ? all : [event]) this.add(each, 0.7);
  }

  // A point that is at least some device pixels from the last one.
  add(event, least) {
    let piece = this.pieces.at(-1);
    const point = this.stage.place(event);
    const [x, y] = piece.points.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) < least / this.stage.look.zoom) return;
    const radius = event.type === "pointerup" ? piece.radius : this.pressedRadius(event);
    if (radius !== piece.radius) this.pieces.push((piece = { label: piece.label, radius, points: [[x, y]] }));
    piece.points.push(point);
    this.stage.grow(piece, piece.points.length - 1);
  }

  end(event) {
    if (!this.pieces.length) return;
    if (!this.straight) this.add(event, 0.1);
    const made = { author: this.author(), time: new Date().toISOString() };
    this.stage.ink.add(this.pieces.map((piece) => ({ ...piece, ...made })));
    this.cancel();
    this.stage.told("stroke");
  }

  // Drops the present movement.
  cancel() {
    this.pieces = [];
    this.straight = false;
    this.stage.redraw({ ink: true });
  }

  // A pen that is pressed half gives the chosen radius, as one that does not tell how it is pressed.
  pressedRadius(event) {
    const share = event.pointerType === "pen" && event.pressure ? 0.3 + 1.4 * event.pressure : 1;
    const steps = Math.log(share) / Math.log(STEP);
    if (Math.abs(steps - this.pressed) > 0.75) this.pressed = Math.round(steps);
    const radius = this.radius * STEP ** this.pressed;
    return Math.round(100 * Math.min(Math.max(radius, THINNEST), THICKEST)) / 100;
  }
}
