// The list of models: what the search box, the filters and the tiles of the sectors leave of it.

const search = document.getElementById("search");
const filters = ["task", "licence"].map((name) => document.getElementById(name));
const tiles = [...document.querySelectorAll("button.tile")];
const cards = [...document.querySelectorAll(".card")];
const reset = document.getElementById("reset");

const pressed = (tile) => tile.getAttribute("aria-pressed") === "true";

/** One sector at most; without one, or with an unknown one, all models are listed. */
function choose(sector) {
  for (const tile of tiles) {
    tile.setAttribute("aria-pressed", String(tile.value === sector));
  }
}

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const sector = tiles.find(pressed)?.value;
  for (const card of cards) {
    const fits = filters.every(({ id, value }) => !value || card.dataset[id] === value);
    const inSector = !sector || card.dataset.sector === sector;
    card.hidden = !fits || !inSector || !words.every((word) => card.dataset.text.includes(word));
  }
  const shown = cards.filter((card) => !card.hidden).length;
  for (const text of document.getElementById("count").children) {
    text.textContent = text.dataset.count.replace("#", shown);
  }
  document.getElementById("nothing").hidden = shown > 0;
  reset.hidden = !search.value && !sector && filters.every(({ value }) => !value);
}

/** The address names the chosen sector, so that a link to it can be passed on. */
function address() {
  const here = new URL(location.href);
  const sector = tiles.find(pressed)?.value;
  if (sector) {
    here.searchParams.set("sector", sector);
  } else {
    here.searchParams.delete("sector");
  }
  history.replaceState(null, "", here);
}

if (search) {
  for (const field of [search, ...filters]) {
    field.addEventListener("input", show);
  }
  for (const tile of tiles) {
    tile.disabled = false;
    tile.addEventListener("click", () => {
      choose(pressed(tile) ? "" : tile.value);
      address();
      show();
    });
  }
  search.form.addEventListener("submit", (event) => event.preventDefault());
  reset.addEventListener("click", () => {
    search.form.reset();
    choose("");
    address();
    show();
    search.focus();
  });
  choose(new URLSearchParams(location.search).get("sector"));
  show(); // the browser may have kept the fields of an earlier visit
}
