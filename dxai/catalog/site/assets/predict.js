// A table to predictions: what `dxai predict --on-bad-rows flag` does, inside the page.

import { TableError, format, trimmed } from "./csv.js";
import { openModel } from "./model.js";
import { bySeries, rowNumbers, shifted, toPanel } from "./panel.js";
import { cautions, check, matchHeader, reason, textOf } from "./rows.js";

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

/** Series of a long demand table. A history with a wrong row is left out whole: its forecast would be wrong. */
export async function forecastTable({ header, rows }, page) {
  const places = matchHeader(header, page.columns, () => true);
  const { values, problems } = check(rows, places, page.columns);
  if (!rows.length) {
    throw new TableError(["table.rows"]);
  }
  const [series, time, target] = ["series", "time", "target"].map((role) => page.columns.find((c) => c.role === role).name);
  const marked = problems.map((found, i) => ({
    row: i + 2, series: values.get(series)[i], at: values.get(time)[i], value: values.get(target)[i], bad: found.length > 0,
  }));
  const panel = toPanel(marked.filter(({ bad }) => !bad), page);
  const broken = new Map(bySeries(marked.filter(({ bad, series: id }) => bad && id !== null)));
  const left = [...panel.left.filter(({ id }) => !broken.has(id)), ...[...broken].map(([id, own]) => brokenSeries(id, own))];
  const kept = panel.series.filter(({ id }) => !broken.has(id));
  const model = await openModel(page);
  const forecasts = [];
  for (const some of slices(kept, model.most.series)) {
    forecasts.push(...(await model.forecast(some)));
  }
  const answers = kept.map((one, i) => ({ ...one, forecast: forecasts[i], ahead: stepsAfter(one.last, page) }));
  const flagged = flags(marked, problems, panel.left, { header, places, series, frequency: page.frequency });
  return { header, rows, places, problems, left, flagged, series: answers };
}

/** Series without a forecast, each with what is wrong with it, in the order of their first wrong row. */
function flags(marked, problems, left, { header, places, series, frequency }) {
  const found = new Map();
  marked.forEach(({ bad, series: id }, i) => {
    const other = left.find((one) => one.id === id);
    if (!found.has(id) && (bad || other)) {
      found.set(id, bad ? reason(problems[i], header, places) : `rule broken: ${series} ${rule(other, frequency)}`);
    }
  });
  return [...found];
}

function rule({ key, values }, frequency) {
  return key === "series.repeated" ? "has one row per step" : `has a history of ${values.minimum} ${frequency} steps or more`;
}

function brokenSeries(id, own) {
  return { id, key: "series.bad", values: { rows: rowNumbers(own) } };
}

function stepsAfter(last, { horizon, frequency }) {
  return Array.from({ length: horizon }, (_, i) => shifted(last, i + 1, frequency));
}

/** The forecasts as CSV text, beside them own columns that hold one value per series. */
export function forecastCsv({ header, rows, places, series, flagged }, page) {
  const [id, time] = ["series", "time"].map((role) => page.columns.find((c) => c.role === role).name);
  const names = page.answers.map(({ column }) => column);
  const own = ownColumns(header, rows, places, id).filter(({ name }) => !names.includes(name));
  const records = series.flatMap((one) =>
    one.ahead.map((moment, step) => {
      const numbers = names.map((name) => shortest(one.forecast.get(name)[step]));
      return [one.id, textOf(moment, page.frequency), ...numbers, ...own.map(({ values }) => values.get(one.id)), null];
    }),
  );
  const head = [header[places.get(id)], header[places.get(time)], ...names, ...own.map(({ name }) => name), PROBLEM];
  const without = flagged.map(([name, told]) => [name, ...head.slice(2).map(() => null), told]);
  return format([head, ...records, ...without]);
}

/** Columns outside the contract that hold one value per series, with that value by series. */
function ownColumns(header, rows, places, id) {
  const known = [...places.values()];
  return header.flatMap((name, place) => {
    const values = new Map();
    const single = rows.every((row) => {
      const key = trimmed(row[places.get(id)]);
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
