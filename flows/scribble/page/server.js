// What the page asks of the program that serves it. Every request carries the token of the link, which stays in the
// browser's storage for this address: a tab that was open before a restart goes on when the new link is opened.

const TOKEN = "capmat token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  localStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}

export class Refused extends Error {
  constructor(status, body) {
    super(body.error || `the program answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function send(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { "x-capmat-token": localStorage.getItem(TOKEN) || "" } });
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

export function tilePath(at, view, runs, level, row, column) {
  const names = runs.map((run) => `run=${encodeURIComponent(run)}`).join("&");
  return `${framePath("tile", at)}/${view}/${level}/${row}/${column}${names && `?${names}`}`;
}
