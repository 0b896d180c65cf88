// What is planned for the steps ahead, as fields: whoever changes one sees the forecast follow.

import { aheadOf } from "./panel.js";
import { shortest } from "./predict.js";
import { check, textOf } from "./rows.js";
import { both, element, say, uniqueId } from "./texts.js";

const PAUSE = 250; // milliseconds without another change

/**
 * Fields for every step ahead of a series. `onChange` gets the series with the values of its fields, once nothing was
 * typed for a moment and all of them keep the contract; it may take its time, and is not called again meanwhile.
 */
export function planFields(one, page, broken, onChange) {
  const columns = aheadOf(page.columns).map((column) => ({ ...column, required: true }));
  const heads = columns.map((column) => element("th", { scope: "col", id: uniqueId() }, ...titleOf(column)));
  const held = new Map(columns.map((column) => [column.name, one.beside.get(column.name).slice(-page.horizon)]));
  const fields = one.ahead.map((_, step) => columns.map((column) => field(column, held.get(column.name)[step], one)));
  const rows = one.ahead.map((at, step) => {
    const head = element("th", { scope: "row", id: uniqueId() }, textOf(at, page.frequency));
    fields[step].forEach((made, i) => made.setAttribute("aria-labelledby", `${heads[i].id} ${head.id}`));
    return element("tr", {}, head, ...fields[step].map((made) => element("td", {}, made)));
  });
  const top = element("tr", {}, element("th", { scope: "col" }, say("result.date")), ...heads);
  const table = element("table", {}, element("thead", {}, top), element("tbody", {}, ...rows));
  const name = element("span", { class: "hidden", id: uniqueId() }, say("plan.scroll"));
  listen(table, async () => {
    const { values, problems } = check(fields.map((some) => some.map(textIn)), new Map(columns.map((c, i) => [c.name, i])), columns);
    mark(fields, problems, columns, broken);
    if (!problems.flat().length) {
      await onChange(changed(one, values, page));
    }
  });
  return [
    element("h4", {}, say("plan.heading")),
    element("p", {}, say("plan.lead")),
    element("div", { class: "scroll plan", role: "region", tabindex: "0", "aria-labelledby": name.id }, name, table),
  ];
}

function titleOf({ title, unit }) {
  return unit.en ? [both(title), " ", element("small", {}, both(unit))] : [both(title)];
}

/** Runs the task after a change, one at a time. */
function listen(table, task) {
  let timer = null;
  let running = Promise.resolve();
  table.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => (running = running.then(task)), PAUSE);
  });
}

/** A box to tick for a yes or no, a list for a category, and else a field for a number. */
function field({ name, kind, minimum, maximum, categories }, value, { beside }) {
  if (kind === "category") {
    const options = [...new Set([...categories, value])].map((text) => element("option", {}, text));
    const select = element("select", {}, ...options);
    select.value = value;
    return select;
  }
  const isFlag = minimum === 0 && maximum === 1 && beside.get(name).every((one) => Number.isNaN(one) || one === 0 || one === 1);
  if (isFlag) {
    return element("input", { type: "checkbox", ...(value === 1 ? { checked: "" } : {}) });
  }
  return element("input", { value: shortest(value), inputmode: "decimal", autocomplete: "off" });
}

function textIn(made) {
  return made.type === "checkbox" ? String(Number(made.checked)) : made.value;
}

function mark(fields, problems, columns, broken) {
  fields.flat().forEach((made) => {
    made.removeAttribute("aria-invalid");
    made.removeAttribute("aria-describedby");
    made.nextSibling?.remove();
  });
  problems.flat().forEach(({ row, column, rule }) => {
    const made = fields[row - 2][columns.indexOf(column)];
    const wrong = element("p", { class: "wrong", id: uniqueId() }, broken(column, rule));
    made.setAttribute("aria-invalid", "true");
    made.setAttribute("aria-describedby", wrong.id);
    made.after(wrong);
  });
}

/** The same series with other values of the steps ahead. */
function changed(one, values, { horizon }) {
  const beside = new Map(one.beside);
  for (const [name, cells] of values) {
    const told = cells.map((cell) => (typeof cell === "number" ? Math.fround(cell) : cell));
    beside.set(name, [...beside.get(name).slice(0, -horizon), ...told]);
  }
  return { ...one, beside };
}
