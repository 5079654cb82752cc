// Keys: most act once; views and the pictures of neighbours are there while their key is held, and a view whose key is
// only tapped stays.

const HOLD_MS = 350;
const VIEWS = {
  v: "picture", o: "tint", a: "alpha", c: "checker", g: "green", l: "plate", d: "difference", h: "hull",
};
const REPEATED = new Set("[]+=-np"); // go on while they are held; a mark that did would go on to unseen boxes
const GHOSTS = { ",": ["frame", -1], ".": ["frame", 1], "<": ["camera", -1], ">": ["camera", 1] };

// `actions`: by key, what it does. `haunt` (kind, step) shows the picture of a neighbour over this one, and `unhaunt`
// takes it away. `isReady` says whether a frame is open.
export function listenToKeys({ stage, looks, isReady, actions, haunt, unhaunt }) {
  const held = {}; // key -> when it went down, and the view before

  function pressed(event) {
    const typing = event.target.closest("select, [type=text], [type=number]");
    if ([" ", "Enter"].includes(event.key) && event.target.closest("button, input, a")) return; // presses it
    const altGr = event.getModifierState("AltGraph"); // where brackets are on German keyboards
    if (typing || document.querySelector("dialog[open]") || !isReady() || (event.altKey && !altGr)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const ctrl = (event.ctrlKey && !altGr) || event.metaKey;
    if (ctrl && key === "z") event.shiftKey ? stage.redo() : stage.undo();
    else if (ctrl && key === "y") stage.redo();
    else if (ctrl) return;
    else if (key === " ") stage.hand.hold(true);
    else if (key in VIEWS) event.repeat || flip(key, event.timeStamp);
    else if (key in GHOSTS) event.repeat || haunt(...GHOSTS[key]);
    else if (key in actions) (event.repeat && !REPEATED.has(key)) || actions[key]();
    else return;
    event.preventDefault();
  }

  // To a view, or from it back to the picture.
  function flip(key, since) {
    held[key] = { since, before: looks.view };
    looks.set(looks.view === VIEWS[key] ? "picture" : VIEWS[key]);
  }

  function released(event) {
    const key = event.key.toLowerCase();
    if (key in GHOSTS) unhaunt();
    if (event.key === " " && stage.hand.space) {
      stage.hand.hold(false);
      event.preventDefault();
    }
    if (!held[key]) return;
    const { since, before } = held[key];
    delete held[key];
    if (event.timeStamp - since > HOLD_MS) looks.set(before);
  }

  addEventListener("keydown", pressed);
  addEventListener("keyup", released);
  addEventListener("blur", () => {
    stage.hand.hold(false);
    unhaunt();
  });
}
