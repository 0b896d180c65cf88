// The page of one model: copy buttons, and the part that predicts.

import { TableError, decode, parse } from "./csv.js";
import { forecastTable, predictRows } from "./predict.js";
import { broken, refusal, rowAnswer, rowSentence, rowsAnswer, seriesAnswer } from "./results.js";
import { element, loadTexts, say, text } from "./texts.js";

const MEGABYTES = 50;
const byId = (id) => document.getElementById(id);

function offerCopies() {
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button, button.parentElement.querySelector("code")));
  }
}

async function copy(button, code) {
  let key = "get.copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code); // no clipboard without https
    key = "get.copy.failed";
  }
  button.replaceChildren(say(key));
  setTimeout(() => button.replaceChildren(say("get.copy")), 3000);
}

/** Shows that a run is on, its outcome, or in plain words why there is none. */
async function run(place, page, task) {
  const [status, answer] = [byId(`${place}-status`), byId(`${place}-answer`)];
  const size = (page.bytes / 1e6).toFixed(0);
  status.replaceChildren(say("run.loading", { size }));
  answer.replaceChildren();
  answer.setAttribute("aria-busy", "true");
  await painted();
  try {
    const { sentence, nodes } = await task(async (done, all) => {
      status.replaceChildren(say("run.working", { done, all }));
      await painted();
    });
    status.replaceChildren(sentence);
    answer.replaceChildren(...nodes);
  } catch (error) {
    const told = error instanceof TableError;
    status.replaceChildren(told ? refusal(error.reasons) : say("run.failed", { why: error.message }));
  }
  answer.removeAttribute("aria-busy");
}

/** Lets the browser draw before the next long computation. */
function painted() {
  return new Promise((resolve) => setTimeout(resolve)); // an animation frame never comes in a hidden tab
}

function tableRun(page, name, bytes) {
  return run("file", page, async (onRows) => {
    if (bytes.length > MEGABYTES * 1e6) {
      throw new TableError(["table.large", { size: (bytes.length / 1e6).toFixed(0), limit: MEGABYTES }]);
    }
    return tableAnswer(page, name, parse(decode(bytes)), { onRows, changes: false });
  });
}

async function tableAnswer(page, name, table, { onRows, changes }) {
  if (page.grain === "series") {
    const result = await forecastTable(table, page);
    const counts = { name, good: result.series.length, bad: result.left.length };
    return { sentence: say("run.series.done", counts), nodes: seriesAnswer(result, page, { changes }) };
  }
  const result = await predictRows(table, page, (done) => onRows(done, table.rows.length));
  const { good, problems, cautions } = result;
  const counts = {
    name,
    good: good.length,
    bad: problems.length - good.length,
    imputed: cautions.filter(({ imputed }) => imputed.length).length,
    outside: cautions.filter(({ outside }) => outside.length).length,
  };
  return { sentence: say("run.rows.done", counts), nodes: rowsAnswer(result, page) };
}

/** A typed row of a quality model; the fields of broken rules are marked. */
async function rowRun(page, form) {
  clearMarks(form);
  const fields = page.columns.filter((c) => c.role === "feature").map((c) => form.elements[c.name]);
  const table = { header: fields.map((f) => f.name), rows: [fields.map((f) => f.value)] };
  await run("row", page, async () => {
    const result = await predictRows(table, page);
    if (result.good.length) {
      return { sentence: element("p", { class: "hidden" }, rowSentence(result, page)), nodes: rowAnswer(result, page) };
    }
    mark(form, result.problems[0]);
    return { sentence: say("run.wrong"), nodes: [] };
  });
}

function mark(form, problems) {
  for (const { column, rule } of problems) {
    const field = form.elements[column.name];
    const wrong = element("p", { class: "wrong", id: `${column.name}-wrong` }, broken(column, rule));
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", `${column.name}-wrong ${column.name}-hint`);
    field.after(wrong);
  }
  form.elements[problems[0].column.name].focus();
}

function clearMarks(form) {
  form.querySelectorAll(".wrong").forEach((wrong) => wrong.remove());
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", `${field.name}-hint`);
  }
}

function listen(page) {
  const form = byId("row");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (page.grain === "rows") {
      rowRun(page, form);
    } else {
      const table = () => parse(byId("history").value);
      run("row", page, (onRows) => tableAnswer(page, text("run.pasted"), table(), { onRows, changes: true }));
    }
  });
  const take = async (file) => file && tableRun(page, file.name, new Uint8Array(await file.arrayBuffer()));
  const input = byId("file");
  input.addEventListener("change", async () => {
    await take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  byId("sample").addEventListener("click", async () => {
    const answer = await fetch(page.sample);
    await tableRun(page, page.sample.split("/").at(-1), new Uint8Array(await answer.arrayBuffer()));
  });
  acceptDrops(byId("drop"), take);
}

function acceptDrops(area, take) {
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.toggle("over", over);
    });
  }
  area.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
}

await loadTexts();
offerCopies();
if (byId("program")) {
  const answer = await fetch("page.json");
  listen(await answer.json());
  byId("program").hidden = false;
}
