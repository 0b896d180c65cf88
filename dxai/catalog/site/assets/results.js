// Answers as tables, pictures and one sentence for a screen reader.

import { forecastChart, intervalBar, shareBar } from "./chart.js";
import { orderOf, ordersCsv } from "./orders.js";
import { aheadOf, seriesTitle, shifted } from "./panel.js";
import { planFields } from "./plan.js";
import { forecastCsv, rowsCsv, shortest } from "./predict.js";
import { textOf } from "./rows.js";
import { both, element, listed, say, text, uniqueId } from "./texts.js";

const ROWS_SHOWN = 200;
const PAST_SHOWN = 4; // horizons of history before a forecast
const SERIES_NAMED = 5;
const SERVICE_LEVELS = [80, 90, 95, 98, 99]; // percent

/** A row's prediction with its lower and upper bound, or its class with the probability of every class. */
function answerOf(outputs, i) {
  return [...outputs.values()].map((column) => column[i]);
}

/** What a predicted class may be; none of a number. */
function classesOf({ answers }) {
  return answers[0].texts;
}

/** The values of one series, step by step: an output's, or those in the middle of one that holds several. */
function stepsOf(forecast, { answers }, output) {
  const columns = answers.filter((one) => one.output === output).map(({ column }) => column);
  return forecast.get(columns[Math.floor(columns.length / 2)]);
}

/** Digits behind the point that show a value of this size to four digits. */
function decimalsFor(values) {
  const largest = values.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
  return Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(largest || 1))));
}

/** A number rounded for the eye; the exact float32 stands in its value. */
function number(value, decimals) {
  return element("data", { value: shortest(value) }, Number.isNaN(value) ? "–" : value.toFixed(decimals));
}

/** A probability as a percentage; the exact float32 stands in its value. */
function probability(value) {
  return element("data", { value: shortest(value) }, percent(value));
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** One typed row: the answer, how sure it is, and what to be careful about. */
export function rowAnswer({ outputs, cautions }, page) {
  const answer = answerOf(outputs, 0);
  const nodes = classesOf(page).length ? classAnswer(answer, classesOf(page)) : numberAnswer(answer, page);
  const { outside, imputed } = cautions[0];
  if (outside.length) {
    nodes.push(element("p", { class: "caution" }, say("result.caution", { columns: titles(outside) })));
  }
  if (imputed.length) {
    nodes.push(element("p", {}, say("result.imputed", { columns: titles(imputed) })));
  }
  return nodes;
}

/** A class, and a bar for the probability of every class. */
function classAnswer([value, ...probabilities], classes) {
  const rows = classes.map((name, i) =>
    element(
      "tr",
      name === value ? { class: "model" } : {},
      element("th", { scope: "row" }, name),
      element("td", { class: "bar-cell" }, shareBar(probabilities[i])),
      element("td", { class: "number" }, probability(probabilities[i])),
    ),
  );
  const caption = element("caption", {}, say("result.probabilities"));
  const likeliest = classes[probabilities.indexOf(Math.max(...probabilities))];
  return [
    element("p", { class: "big" }, value ?? "–"),
    element("table", { class: "bars" }, caption, element("tbody", {}, ...rows)),
    ...(value === likeliest ? [] : [element("p", {}, say("result.threshold", { value: value ?? "–" }))]),
  ];
}

/** A number with its interval. */
function numberAnswer([value, lower, upper], page) {
  const target = targetOf(page);
  const decimals = decimalsFor([value, lower, upper]);
  const told = { lower: lower.toFixed(decimals), upper: upper.toFixed(decimals), unit: target.unit };
  const nodes = [
    element("p", { class: "big" }, number(value, decimals), " ", element("small", {}, both(target.unit))),
    element("p", {}, say("result.range", told)),
  ];
  if (target.seen) {
    const [low, high] = target.seen;
    nodes.push(intervalBar({ low, high, lower, upper, value }));
    nodes.push(element("p", {}, element("small", {}, say("result.scale", { low, high, unit: target.unit }))));
  }
  return nodes;
}

/** What a screen reader hears about a typed row. */
export function rowSentence({ outputs }, page) {
  const target = targetOf(page);
  const numbers = answerOf(outputs, 0);
  if (classesOf(page).length) {
    const [name, ...probabilities] = numbers;
    return say("run.class.done", { target: target.title, name: name ?? "–", share: percent(probabilities[classesOf(page).indexOf(name)]) });
  }
  const [value, lower, upper] = numbers.map((n) => n.toFixed(decimalsFor(numbers)));
  return say("run.row.done", { target: target.title, unit: target.unit, value, lower, upper });
}

/** A whole table: bad rows first, then the predictions. */
export function rowsAnswer(result, page) {
  const place = new Map(result.good.map((row, i) => [row, i]));
  const { heads, numbers, shown } = classesOf(page).length ? classColumns(classesOf(page)) : numberColumns(result);
  const rows = result.rows.slice(0, ROWS_SHOWN).map((_, row) => {
    const i = place.get(row);
    const cells = i === undefined ? heads.map(() => "–") : shown(answerOf(result.outputs, i));
    return { cells: [String(row + 2), ...cells, i === undefined ? say("result.bad") : note(result.cautions[i])], bad: i === undefined };
  });
  return [
    ...problemsPart(result.problems.flat()),
    download(`${page.name}-predictions`, "result.download", () => rowsCsv(result)),
    table([say("result.row"), ...heads, say("result.note")], rows, numbers),
    ...more(result.rows.length - ROWS_SHOWN, "result.more"),
  ];
}

/** Heads of an answer's columns, which of the table's columns hold numbers, and how an answer is shown. */
function numberColumns({ good, outputs }) {
  const decimals = decimalsFor(good.flatMap((_, i) => answerOf(outputs, i)));
  const heads = ["result.prediction", "result.lower", "result.upper"].map((key) => say(key));
  return { heads, numbers: [1, 4], shown: (answer) => answer.map((value) => number(value, decimals)) };
}

function classColumns(classes) {
  const heads = [say("result.class"), ...classes.map((name) => say("result.probability", { name }))];
  const shown = ([name, ...probabilities]) => [name ?? "–", ...probabilities.map(probability)];
  return { heads, numbers: [2, 2 + classes.length], shown };
}

function note({ outside, imputed }) {
  const parts = element("span");
  for (const [key, columns] of [["result.outside", outside], ["result.imputed", imputed]]) {
    if (columns.length) {
      parts.append(parts.childNodes.length ? "; " : "", say(key, { columns: titles(columns) }));
    }
  }
  return parts;
}

/** Forecasts: one series at a time as a chart and a table, and with fields for what is planned where that may change. */
export function seriesAnswer(result, page, { changes = false } = {}) {
  const nodes = [...problemsPart(result.problems.flat()), ...leftPart(result.left), ...unaskedPart(result.unasked), ...shortPart(result.short, page)];
  if (!result.series.length) {
    return [...nodes, element("p", {}, say("table.none.good"))];
  }
  const again = changes && aheadOf(page.columns).length ? result.again : null;
  const order = orderPart(result, page);
  const shown = element("div", { class: "series" });
  const show = (i) => shown.replaceChildren(...oneSeries(result.series[i], page, again, order.show));
  const file = download(`${page.name}-predictions`, "result.download", () => forecastCsv(result, page));
  return [...nodes, file, chooser(result.series, page, show), shown, ...order.nodes];
}

/** Starts with the largest series. */
function chooser(series, page, show) {
  const totals = series.map(({ forecast }) => total(forecast, page));
  const largest = Math.max(0, totals.indexOf(Math.max(...totals)));
  show(largest);
  return listField(say("result.choose"), series.map(({ id }, i) => [i, seriesTitle(id)]), largest, show);
}

/** A labelled list of numbers, each with its title. */
function listField(label, options, chosen, onChoice) {
  const select = element("select", { id: uniqueId() }, ...options.map(([value, title]) => element("option", { value }, title)));
  select.value = chosen;
  select.addEventListener("input", () => onChoice(Number(select.value)));
  return element("div", { class: "field" }, element("label", { for: select.id }, label), select);
}

/** Fields for service level and lead time with a file of all orders; `show` tells what to order of a series. */
function orderPart(result, page) {
  const asked = { percent: 95, steps: page.horizon };
  const answer = element("output");
  let shown = null;
  const show = (one) => {
    shown = one;
    answer.replaceChildren(...orderAnswer(one, page, asked));
  };
  const choose = (name) => (value) => {
    asked[name] = value;
    show(shown);
  };
  const levels = SERVICE_LEVELS.map((percent) => [percent, `${percent} %`]);
  const leads = Array.from({ length: page.horizon }, (_, i) => [i + 1, String(i + 1)]);
  const nodes = [
    element("h4", {}, say("order.heading")),
    element(
      "div",
      { class: "fields" },
      listField(say("order.level"), levels, asked.percent, choose("percent")),
      listField(say("order.lead", { frequency: page.frequency_title }), leads, asked.steps, choose("steps")),
    ),
    answer,
    download(`${page.name}-orders`, "order.download", () => ordersCsv(result, page, asked), "quiet"),
  ];
  return { nodes, show };
}

function orderAnswer({ id, forecast }, page, asked) {
  const { order, mean } = orderOf(forecast, page, asked);
  const { unit } = targetOf(page);
  const decimals = decimalsFor([order, mean]);
  const told = { series: seriesTitle(id), level: asked.percent, mean: mean.toFixed(decimals), unit };
  return [
    element("p", { class: "big" }, number(order, decimals), " ", element("small", {}, both(unit))),
    element("p", {}, say("order.done", told)),
  ];
}

function total(forecast, page) {
  return stepsOf(forecast, page, "mean").reduce((sum, value) => sum + value, 0);
}

/** Chart and table of a series; `again` forecasts it with other values of the steps ahead, `onForecast` gets it then. */
function oneSeries(one, page, again, onForecast) {
  const picture = element("div", { class: "picture" });
  const caption = { series: seriesTitle(one.id), horizon: page.horizon, frequency: page.frequency_title, target: targetOf(page).title };
  const name = element("figcaption", { id: uniqueId() }, say("chart.caption", caption));
  const legend = element("ul", { class: "legend" });
  const numbers = element("div");
  let former = null;
  const draw = () => {
    if (picture.clientWidth) {
      picture.replaceChildren(forecastChart(picture.clientWidth, pastOf(one, page), futureOf(one, page, former), page.frequency, name.id));
    }
  };
  const update = () => {
    draw();
    legend.replaceChildren(...legendOf(former));
    numbers.replaceChildren(stepsTable(futureOf(one, page), page));
    onForecast(one);
  };
  new ResizeObserver(draw).observe(picture);
  update();
  const status = element("p", { role: "status" });
  const change = async (planned) => {
    try {
      const forecast = await again(planned);
      former = one.forecast;
      Object.assign(one, planned, { forecast }); // so that the file that is downloaded holds what is shown
      update();
      status.replaceChildren(totals(one.forecast, former, page));
    } catch (error) {
      status.replaceChildren(say("run.failed", { why: error.message }));
    }
  };
  const plan = again ? [...planFields(one, page, broken, change), status] : [];
  return [element("figure", {}, name, picture, legend), ...plan, numbers];
}

function targetOf({ columns }) {
  return columns.find((c) => c.role === "target");
}

function pastOf(one, page) {
  const held = [...one.values.slice(-PAST_SHOWN * page.horizon)];
  return held.map((value, i) => ({ value, at: shifted(one.last, i + 1 - held.length, page.frequency) }));
}

function futureOf({ ahead, forecast }, page, former = null) {
  const outputs = { lower: "lower", upper: "upper", median: "quantiles", mean: "mean" };
  const steps = Object.entries(outputs).map(([name, output]) => [name, stepsOf(forecast, page, output)]);
  if (former) {
    steps.push(["former", stepsOf(former, page, "quantiles")]);
  }
  return ahead.map((at, i) => ({ at, ...Object.fromEntries(steps.map(([name, values]) => [name, values[i]])) }));
}

function legendOf(former) {
  const keys = [["past", "chart.history"], ["band", "chart.band"], ["median", "result.median"], ["mean", "result.mean"]];
  const all = former ? [...keys, ["former", "chart.former"]] : keys;
  return all.map(([name, key]) => element("li", { class: name }, say(key)));
}

function stepsTable(future, page) {
  const heads = ["result.date", "result.median", "result.mean", "result.lower", "result.upper"];
  const decimals = decimalsFor(future.flatMap(({ lower, upper, median, mean }) => [lower, upper, median, mean]));
  const rows = future.map((f) => ({
    cells: [textOf(f.at, page.frequency), ...[f.median, f.mean, f.lower, f.upper].map((value) => number(value, decimals))],
  }));
  return table(heads.map((key) => say(key)), rows, [1, 5]);
}

/** What a change of the plan did to all steps together. */
function totals(now, former, page) {
  const sums = [now, former].map((forecast) => total(forecast, page));
  const [after, before] = sums.map((sum) => sum.toFixed(decimalsFor(sums)));
  return say("plan.done", { after, before, unit: targetOf(page).unit });
}

/** Series that experts without training forecast, since they are too short for the trained model. */
function shortPart(short, { trained_from }) {
  if (!short.length) {
    return [];
  }
  return [element("p", {}, say("result.short", { count: short.length, names: namesOf(short), minimum: trained_from }))];
}

function unaskedPart(unasked) {
  if (!unasked.length) {
    return [];
  }
  return [element("p", {}, say("result.unasked", { count: unasked.length, names: namesOf(unasked) }))];
}

/** Names of the first series. */
function namesOf(series) {
  const names = series.slice(0, SERIES_NAMED).map(({ id }) => seriesTitle(id));
  return names.join(", ") + (series.length > SERIES_NAMED ? ", …" : "");
}

function leftPart(left) {
  if (!left.length) {
    return [];
  }
  const rows = left.slice(0, ROWS_SHOWN).map(({ id, key, values }) => ({ cells: [seriesTitle(id), say(key, values)] }));
  return [
    element("h4", {}, say("result.bad.series")),
    element("p", {}, say("result.bad.series.lead")),
    table([say("result.series"), say("result.rule")], rows),
    ...more(left.length - ROWS_SHOWN, "result.more.bad"),
  ];
}

function problemsPart(problems) {
  if (!problems.length) {
    return [];
  }
  const rows = problems.slice(0, ROWS_SHOWN).map(({ row, column, rule, value }) => ({
    cells: [String(row), both(column.title), broken(column, rule), value],
  }));
  const heads = ["result.row", "result.column", "result.rule", "result.value"].map((key) => say(key));
  return [
    element("h4", {}, say("result.bad.heading")),
    element("p", {}, say("result.bad.lead")),
    table(heads, rows),
    ...more(problems.length - ROWS_SHOWN, "result.more.bad"),
  ];
}

/** The rule that a value breaks, in the unit as people write it. */
export function broken(column, rule) {
  const limit = { en: `${column[rule]} ${column.unit.en}`.trim(), ko: `${column[rule]} ${column.unit.ko}`.trim() };
  return say(`rule.${rule}`, { limit });
}

function more(count, key) {
  return count > 0 ? [element("p", {}, say(key, { count }))] : [];
}

/** A table that scrolls by itself; numbers stand in the columns from the first to the one before the last of `numbers`. */
function table(heads, rows, numbers = [0, 0]) {
  const kind = (i) => (i >= numbers[0] && i < numbers[1] ? { class: "number" } : {});
  const head = element("tr", {}, ...heads.map((told, i) => element("th", { scope: "col", ...kind(i) }, told)));
  const body = rows.map(({ cells, bad }) => {
    const [first, ...rest] = cells;
    const others = rest.map((cell, i) => element("td", kind(i + 1), cell));
    return element("tr", bad ? { class: "bad" } : {}, element("th", { scope: "row" }, first), ...others);
  });
  const inner = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  const name = element("span", { class: "hidden", id: uniqueId() }, say("result.scroll"));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-labelledby": name.id }, name, inner);
}

function download(name, key, csv, kind = "button") {
  const button = element("button", { type: "button", class: kind }, say(key));
  button.addEventListener("click", () => {
    const place = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" })); // Excel reads UTF-8 by its mark
    element("a", { href: place, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(place), 60_000);
  });
  return element("p", {}, button);
}

/** Why a table was refused, in both languages. */
export function refusal(reasons) {
  const told = reasons.map(([key, values = {}]) => {
    const entries = Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? listed(value.map((v) => text(`${key}.row`, v))) : value]);
    return element("li", {}, say(key, Object.fromEntries(entries)));
  });
  return element("div", { class: "refused" }, element("p", {}, say("run.refused")), element("ul", {}, ...told));
}

function titles(columns) {
  return listed(columns.map((column) => column.title));
}
