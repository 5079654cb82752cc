// What the page asks of the program that serves it. Every request carries the token of the link, which stays in the
// browser's storage for this address: a tab that was open before a restart goes on when the new link is opened.

const TOKEN = "capmat token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  localStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}

// Says "gone" when the program does not answer, and "back" when it does again.
export const connection = new EventTarget();
const ASK_AGAIN_MS = 2000;
let isGone = false;

function answers(now) {
  if (now === !isGone) return;
  isGone = !now;
  connection.dispatchEvent(new Event(isGone ? "gone" : "back"));
  if (isGone) setTimeout(askAgain, ASK_AGAIN_MS);
}

async function askAgain() {
  await fetch("page/icon.svg", { cache: "no-store" }).then(() => answers(true), () => setTimeout(askAgain, ASK_AGAIN_MS));
}

export class Unreachable extends Error {}

export class Refused extends Error {
  constructor(status, body) {
    super(body.error || (status === 403 ? "the program was restarted; open its new link" : `the program answered ${status}`));
    this.status = status;
    this.body = body;
  }
}

async function send(path, options = {}) {
  const headers = { "x-capmat-token": localStorage.getItem(TOKEN) || "" };
  const answer = await fetch(path, { ...options, headers }).catch((error) => {
    answers(false);
    throw new Unreachable("the program does not answer", { cause: error });
  });
  answers(true);
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, body);
}

export async function ask(path, method = "GET", document = undefined) {
  const body = document === undefined ? undefined : JSON.stringify(document);
  return (await send(path, { method, body })).json();
}

export async function picture(path) {
  return (await send(path)).blob();
}

export function framePath(kind, at) {
  return `api/${kind}/${encodeURIComponent(at.take)}/${encodeURIComponent(at.camera)}/${at.frame}`;
}

// Strokes of a frame as the program reads them.
export function drawingOf(at, [height, width], strokes) {
  return { capmat: "strokes", schema: 1, ...at, width, height, strokes };
}

export function tilePath(at, view, runs, level, row, column) {
  const names = runs.map((run) => `run=${encodeURIComponent(run)}`).join("&");
  return `${framePath("tile", at)}/${view}/${level}/${row}/${column}${names && `?${names}`}`;
}
