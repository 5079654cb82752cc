// The dialogue behind "Done": it shows what will be frozen, then the new labels and what happens next.

import { ask } from "./server.js";

const dialog = document.querySelector("#finish");
const body = document.querySelector("#finish-body");
const title = document.querySelector("#finish-title");
const go = document.querySelector("#finish-go");
const cancel = document.querySelector("#finish-cancel");

// Asks, and freezes if the person agrees. `desk` is the last answer of the program; `flush` saves what waits.
export function finish(desk, author, flush) {
  return new Promise((resolve) => {
    const painted = desk.takes.flatMap((take) => Object.entries(take.drafts).map(([name, draft]) => ({
      ...draft, isNew: !take.labelled.includes(name),
    })));
    const drafts = painted.filter((draft) => draft.isNew);
    const mine = drafts.filter((draft) => draft.authors.includes(author));
    body.replaceChildren();
    title.textContent = "Done for now?";
    cancel.textContent = "Not yet";
    go.hidden = false;
    go.disabled = !drafts.length;
    if (painted.length && !drafts.length) {
      line("All strokes are in the labels already. Paint some more, then come back.");
    } else if (!drafts.length) {
      line("Nothing is painted yet. Paint a few strokes where the matte failed, then come back.");
    } else {
      line(`${counted(drafts.length, "frame")} with new strokes ${drafts.length === 1 ? "becomes a label" : "become labels"}. Earlier labels stay; nothing unpainted is labelled.`);
      const one = drafts.filter((draft) => !draft.fg || !draft.bg).length;
      if (one) line(`${counted(one, "frame")} ${one === 1 ? "has" : "have"} strokes of one kind only. Both kinds near the fault teach most.`, "quiet");
      if (mine.length && mine.length < drafts.length) choice(drafts.length, mine.length);
    }
    dialog.returnValue = "";
    dialog.showModal();
    let made = false;
    go.onclick = async (event) => {
      event.preventDefault();
      go.disabled = true;
      go.textContent = "Making them…";
      try {
        if (!(await flush())) throw new Error("the last strokes are not saved yet; see the note at the top");
        const only = body.querySelector("input:checked")?.value === "mine" ? author : "";
        result(await ask("api/done", "POST", { author: only }));
        made = true;
      } catch (error) {
        line(`Not done: ${error.message}`, "trouble");
        go.disabled = false;
      }
      go.textContent = "Make the labels";
    };
    dialog.onclose = () => resolve(made);
  });
}

function result(done) {
  title.textContent = done.new ? "Done. Thank you." : "Nothing new";
  body.replaceChildren();
  line(`Labels ${done.labels}`, "big");
  if (!done.new) line("No stroke has changed since this version, so no new version was made.");
  else line(`${counted(done.frames, "frame")} from here, ${counted(done.all, "frame")} in all. ${(100 * done.painted_share).toFixed(2)} % of their pixels are painted.`);
  if (done.told) {
    line(`The training starts by itself when no more labels have come for ${done.quiet_s} seconds. If its model is better on the benchmark, the model is put in use.`);
  } else if (done.new) {
    const said = line("No Prefect server is running. The training starts with the next ");
    said.append(code("capmat up"), " or with ", code("capmat redistill"), ".");
  }
  if (done.ui) {
    const said = line("");
    said.append(Object.assign(document.createElement("a"), { href: done.ui, target: "_blank", rel: "noreferrer", textContent: "See the runs" }));
  }
  go.hidden = true;
  cancel.textContent = "Close";
}

function choice(all, mine) {
  for (const [value, text] of [["all", `All frames (${all})`], ["mine", `Only the frames that I painted on (${mine})`]]) {
    const label = body.appendChild(document.createElement("label"));
    const radio = label.appendChild(document.createElement("input"));
    Object.assign(radio, { type: "radio", name: "whose", value, checked: value === "all" });
    label.append(text);
  }
}

function line(text, kind = "") {
  return body.appendChild(Object.assign(document.createElement("p"), { textContent: text, className: kind }));
}

function code(text) {
  return Object.assign(document.createElement("code"), { textContent: text });
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
