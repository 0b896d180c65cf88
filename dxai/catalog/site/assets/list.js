// The list of models: what the search box and the filters leave of it.

import { loadTexts, say } from "./texts.js";

const search = document.getElementById("search");
const filters = ["sector", "task", "licence"].map((name) => document.getElementById(name));
const cards = [...document.querySelectorAll(".card")];
const reset = document.getElementById("reset");

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) {
    const fits = filters.every(({ id, value }) => !value || card.dataset[id] === value);
    card.hidden = !fits || !words.every((word) => card.dataset.text.includes(word));
  }
  const shown = cards.filter((card) => !card.hidden).length;
  document.getElementById("count").replaceChildren(say("list.count", { shown, all: cards.length }));
  document.getElementById("nothing").hidden = shown > 0;
  reset.hidden = !search.value && filters.every(({ value }) => !value);
}

if (search) {
  await loadTexts();
  for (const field of [search, ...filters]) {
    field.addEventListener("input", show);
  }
  search.form.addEventListener("submit", (event) => event.preventDefault());
  reset.addEventListener("click", () => {
    search.form.reset();
    show();
    search.focus();
  });
  show(); // the browser may have kept the fields of an earlier visit
}
