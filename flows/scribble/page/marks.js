// What a person says of a proposed box without painting: that nothing is wrong there, or that they cannot tell. Mining
// leaves such boxes out. A mark is no label.

import { ask, framePath } from "./server.js";

export const WORDS = { right: "nothing wrong", unsure: "cannot tell" };

export class Marks {
  // `note` shows what is wrong, `next` goes on to the next box.
  constructor(queue, author, note, next) {
    Object.assign(this, { queue, author, note, next });
    this.buttons = [...document.querySelectorAll("[data-mark]")];
    for (const button of this.buttons) button.onclick = () => this.set(button.dataset.mark);
  }

  // Marks the open box, or takes its mark back.
  async set(kind) {
    const { queue: { current: item, take } } = this;
    if (!item?.box) return;
    const said = item.mark === kind ? "" : kind;
    try {
      await ask(framePath("mark", item.at), "PUT", { box: item.box, kind: said, author: this.author() });
    } catch (error) {
      this.note("mark", `The mark is not stored: ${error.message}.`);
      return;
    }
    this.note("mark", "");
    item.mark = said;
    const mined = (one) => one.camera === item.camera && one.frame === item.frame && String(one.box) === String(item.box);
    Object.assign(take.queue.items.find(mined) || {}, { mark: said }); // the take may have been mined anew
    this.queue.mark();
    if (said && this.queue.current === item) this.next();
    else this.show();
  }

  // Shows what was said of the open box.
  show() {
    const { current: item } = this.queue;
    for (const button of this.buttons) {
      button.hidden = !item?.box;
      button.setAttribute("aria-pressed", item?.mark === button.dataset.mark);
    }
  }
}
