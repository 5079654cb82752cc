// The slider between two models, which models it compares, and the filter. Without this script all pictures stand
// beside each other.
const page = document.documentElement;
const chosen = (id) => document.getElementById(id).value;
page.classList.add("scripted");

function show() {
  for (const item of document.querySelectorAll("[data-take]")) {
    const other = ["take", "camera"].some((id) => chosen(id) && chosen(id) !== item.dataset[id]);
    item.classList.toggle("other", other);
  }
  for (const figure of document.querySelectorAll("[data-row]")) {
    figure.classList.toggle("before", figure.dataset.row === chosen("before"));
    figure.classList.toggle("after", figure.dataset.row === chosen("after") && chosen("before") !== chosen("after"));
  }
}

document.addEventListener("input", ({ target }) => {
  if (target.type === "range") target.parentElement.style.setProperty("--at", `${target.value}%`);
  else show();
});
show();
