// A table to predictions: what `dxai predict --on-bad-rows flag` does, inside the page.

import { TableError, format, trimmed } from "./csv.js";
import { fillHolidays } from "./holidays.js";
import { openModel } from "./model.js";
import { aheadOf, bySeries, covariatesOf, joined, rowNumbers, shifted, toPanel } from "./panel.js";
import { cautions, check, matchHeader, reason, textOf } from "./rows.js";
import { listed } from "./texts.js";

const PROBLEM = "dxai_problem";

/** Rows of a quality table. Returns the good rows' outputs by name, and everything wrong with the others. */
export async function predictRows({ header, rows }, page, onRows = () => {}) {
  const features = page.columns.filter((c) => c.role === "feature");
  const places = matchHeader(header, page.columns, (c) => c.role === "feature");
  const { values, problems } = check(rows, places, features);
  const good = problems.flatMap((found, i) => (found.length ? [] : [i]));
  const model = await openModel(page);
  const outputs = await outputsOf(model, page, values, good, onRows);
  const clash = header.find((name) => name === PROBLEM || outputs.has(name));
  if (clash) {
    throw new TableError(["table.clash", { name: clash }]);
  }
  return { header, rows, places, problems, good, outputs, cautions: good.map((row) => cautions(values, row, features)) };
}

/** Outputs by name for the good rows, slice by slice. */
async function outputsOf(model, page, values, good, onRows) {
  const outputs = new Map(page.answers.map(({ column }) => [column, []]));
  let done = 0;
  for (const chosen of slices(good, model.most.rows)) {
    for (const [name, part] of await model.rows(values, chosen)) {
      part.forEach((value) => outputs.get(name).push(value));
    }
    done += chosen.length;
    await onRows(done);
  }
  return outputs;
}

function slices(all, most) {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, i) => all.slice(i * most, (i + 1) * most));
}

/** The table with its predictions as CSV text. */
export function rowsCsv({ header, rows, places, problems, good, outputs }) {
  const names = [...outputs.keys()];
  const answers = new Map(good.map((row, i) => [row, names.map((name) => cell(outputs.get(name)[i]))]));
  const empty = names.map(() => null);
  const records = rows.map((row, i) => [...row, ...(answers.get(i) ?? empty), reason(problems[i], header, places)]);
  return format([[...header, ...names, PROBLEM], ...records]);
}

/** A class as it is, a number in its shortest text. */
function cell(value) {
  return typeof value === "number" ? shortest(value) : value;
}

/**
 * Series of a long demand table. A history with a wrong row is left out whole: its forecast would be wrong.
 *
 * `again` forecasts one of the series once more, with other values of the steps ahead.
 */
export async function forecastTable({ header, rows }, page) {
  const places = matchHeader(header, page.columns, (column) => isRead(column) && !column.holidays);
  const { values, problems } = check(rows, places, readColumns(page));
  if (!rows.length) {
    throw new TableError(["table.rows"]);
  }
  fillHolidays(values, values.get(page.columns.find((c) => c.role === "time").name), page);
  const marked = markedRows(values, problems, page);
  const broken = new Map(bySeries(marked.filter(({ bad, series: id }) => bad && id !== null)));
  const panel = soundPanel(marked.filter(({ bad }) => !bad), broken, page);
  refuseWithoutPlan(panel, page);
  const left = [...panel.left.filter(({ id }) => !broken.has(id)), ...[...broken].map(([id, own]) => brokenSeries(id, own))];
  const model = await openModel(page);
  const end = lastOf([...panel.series, ...panel.unasked], page);
  const forecasts = [];
  for (const some of slices(panel.series, model.most.series)) {
    forecasts.push(...(await model.forecast(some, end)));
  }
  const answers = panel.series.map((one, i) => ({ ...one, forecast: forecasts[i], ahead: stepsAfter(one.last, page) }));
  const flagged = flags(marked, problems, panel.left, { header, places, page });
  const again = async (one) => (await model.forecast([one], end))[0];
  const short = answers.filter((one) => isShort(one, page));
  return { header, rows, places, problems, left, flagged, series: answers, unasked: panel.unasked, short, again };
}

/** Whether the trained model has too few known steps, so that the graph's experts answer. */
function isShort({ values }, { context, trained_from }) {
  return values.slice(-context).filter((value) => !Number.isNaN(value)).length < trained_from;
}

function isRead({ role }) {
  return role !== "ignore";
}

/** Where rows of steps to forecast may stand, what is only known of the past may be empty in them. */
function readColumns({ columns }) {
  const ofPast = aheadOf(columns).length ? ["target", "past", "available"] : [];
  return columns.filter(isRead).map((c) => (ofPast.includes(c.role) ? { ...c, required: false } : c));
}

function markedRows(values, problems, { columns }) {
  const [time, target] = ["time", "target"].map((role) => values.get(columns.find((c) => c.role === role).name));
  const parts = columns.filter((c) => c.role === "series").map(({ name }) => values.get(name));
  const covariates = covariatesOf(columns).map(({ name }) => [name, values.get(name)]);
  return problems.map((found, i) => {
    const names = parts.map((part) => part[i]);
    const series = names.includes(null) ? null : joined(names);
    const beside = Object.fromEntries(covariates.map(([name, cells]) => [name, cells[i]]));
    return { row: i + 2, names, series, at: time[i], value: target[i], beside, bad: found.length > 0 };
  });
}

/** The panel of the series that are kept, and all that are left out: those say no longer where the others end. */
function soundPanel(rows, broken, page) {
  const all = toPanel(rows, page);
  const out = new Set([...broken.keys(), ...all.left.map(({ id }) => id)]);
  if (!out.size) {
    return all;
  }
  const kept = toPanel(rows.filter(({ series: id }) => !out.has(id)), page);
  return { ...kept, left: [...all.left, ...kept.left] };
}

function refuseWithoutPlan({ series, unasked, left }, { columns, horizon }) {
  if (unasked.length && !series.length && !left.length) {
    const target = columns.find((c) => c.role === "target").title;
    throw new TableError(["table.plan", { columns: listed(aheadOf(columns).map(({ title }) => title)), horizon, target }]);
  }
}

/** A series that shows where all of them end; none where each has an end of its own. */
function lastOf(series, { absent, columns }) {
  const known = aheadOf(columns).length > 0;
  const shows = ({ own, last }) => own.some(({ at, value }) => at === last && (!known || value !== null));
  return absent === "zero" || known ? series.find(shows) : undefined;
}

/** Series without a forecast, each with what is wrong with it, in the order of their first wrong row. */
function flags(marked, problems, left, { header, places, page }) {
  const found = new Map();
  const reasons = new Map(left.map((one) => [one.id, one]));
  const series = page.columns.find((c) => c.role === "series").name;
  marked.forEach(({ bad, names, series: id }, i) => {
    const other = reasons.get(id);
    if (!found.has(joined(names)) && (bad || other)) {
      const told = bad ? reason(problems[i], header, places) : `rule broken: ${series} ${rule(other, page)}`;
      found.set(joined(names), { names, told });
    }
  });
  return [...found.values()];
}

function rule({ key }, { minimum_history, frequency, horizon }) {
  const sentences = {
    "series.repeated": "has one row per step",
    "series.short": `has a history of ${minimum_history} ${frequency} steps or more`,
    "series.plan": `has all that is known of the next ${horizon} steps`,
  };
  return sentences[key];
}

function brokenSeries(id, own) {
  return { id, key: "series.bad", values: { rows: rowNumbers(own) } };
}

function stepsAfter(last, { horizon, frequency }) {
  return Array.from({ length: horizon }, (_, i) => shifted(last, i + 1, frequency));
}

/** The forecasts as CSV text, beside them own columns that hold one value per series. */
export function forecastCsv({ header, rows, places, series, flagged }, page) {
  const ids = page.columns.filter((c) => c.role === "series").map(({ name }) => places.get(name));
  const time = places.get(page.columns.find((c) => c.role === "time").name);
  const names = page.answers.map(({ column }) => column);
  const own = ownColumns(header, rows, places, ids).filter(({ name }) => !names.includes(name));
  const records = series.flatMap((one) =>
    one.ahead.map((moment, step) => {
      const numbers = names.map((name) => shortest(one.forecast.get(name)[step]));
      const besides = own.map(({ values }) => values.get(one.id));
      return [...one.own[0].names, textOf(moment, page.frequency), ...numbers, ...besides, null];
    }),
  );
  const head = [...ids.map((id) => header[id]), header[time], ...names, ...own.map(({ name }) => name), PROBLEM];
  const without = flagged.map(({ names: parts, told }) => [...parts, ...head.slice(parts.length + 1).map(() => null), told]);
  return format([head, ...records, ...without]);
}

/** Columns outside the contract that hold one value per series, with that value by series. */
function ownColumns(header, rows, places, ids) {
  const known = [...places.values()];
  return header.flatMap((name, place) => {
    const values = new Map();
    const single = rows.every((row) => {
      const key = joined(ids.map((id) => trimmed(row[id])));
      return values.get(key) === row[place] || (!values.has(key) && values.set(key, row[place]));
    });
    return known.includes(place) || !single ? [] : [{ name, values }];
  });
}

/** The shortest text that gives the same float32 again. */
export function shortest(value) {
  const text = [6, 7, 8, 9].map((digits) => value.toPrecision(digits)).find((told) => Math.fround(told) === value);
  return text === undefined ? "" : String(Number(text));
}
