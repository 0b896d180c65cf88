// Long demand rows to histories side by side, as dxai/data/windows.py does it.

import { TableError } from "./csv.js";
import { textOf } from "./rows.js";
import { listed } from "./texts.js";

const DAY = 86_400_000;
const UNITS = { hourly: 1, daily: 1, weekly: 7 };
const MONTHS = { monthly: 1, quarterly: 3, yearly: 12 };

/** The day, or hour where steps are hours, `steps` steps later; months and longer steps keep to their last days. */
export function shifted(moment, steps, frequency) {
  if (frequency in UNITS) {
    return moment + UNITS[frequency] * steps;
  }
  const date = new Date(moment * DAY);
  return monthEnd(date.getUTCFullYear(), date.getUTCMonth() + steps * MONTHS[frequency]);
}

/** Columns whose values are known for the steps to forecast. */
export function aheadOf(columns) {
  return columns.filter(({ role }) => ["known_future", "open"].includes(role));
}

/** Columns that a graph takes beside histories, in contract order; of a part of the series' names, a listed one. */
export function covariatesOf(columns) {
  return columns.filter((c) => isOfSteps(c) || c.role === "static" || (c.role === "series" && c.categories.length));
}

/** Whether a column has a value at every step; otherwise a series has one. */
export function isOfSteps({ role }) {
  return ["known_future", "open", "past", "available"].includes(role);
}

const JOINT = "\x1f"; // in no text of a table

/** One name of the parts of a series' name, and that for a person. */
export function joined(names) {
  return names.join(JOINT);
}

export function seriesTitle(id) {
  return id.replaceAll(JOINT, " · ");
}

/**
 * Checked rows `{row, series, at, value, beside}` to histories; a null value counts as missing.
 *
 * `beside` holds each covariate's cell by name. Returns the series in order, each `{id, own, values, last, beside}`:
 * `own` are its rows, `beside` a Map of what the graph takes, one value or one for each step of the history and the
 * horizon; `unasked` the same without rows ahead, where columns are known ahead; `left` those that cannot be forecast,
 * each `{id, key, values}` with a text of texts.json. A date off the grid and a series with several values of a static
 * column refuse the whole table.
 */
export function toPanel(rows, contract) {
  const grid = gridOf(rows, contract.frequency);
  refuseOffGrid(rows, grid, contract.frequency);
  const known = aheadOf(contract.columns);
  const all = bySeries(rows).map(([id, own]) => ({ id, own, steps: own.map(({ at }) => grid.stepOf(at)) }));
  const repeated = new Map(all.map((one) => [one, repeats(one)]));
  const newest = newestStep(all.filter((one) => !repeated.get(one).length), contract);
  const found = { series: [], unasked: [], left: [] };
  for (const one of all) {
    const last = contract.absent === "zero" || known.length ? newest : Math.max(...one.steps);
    const ahead = one.own.filter((_, i) => one.steps[i] > last && one.steps[i] <= last + contract.horizon);
    const twice = repeated.get(one);
    const history = twice.length ? null : laidOut(one, last, contract);
    const why = history ? whyLeft(history.values, ahead, known, contract) : { key: "series.repeated", values: { rows: rowNumbers(twice) } };
    if (why) {
      found.left.push({ id: one.id, ...why });
    } else {
      const place = known.length && !ahead.length ? found.unasked : found.series;
      place.push({ id: one.id, own: one.own, last: grid.momentOf(last), ...history });
    }
  }
  return found;
}

/** The last step of the table; where columns are known ahead, the last one with a value of the target. */
function newestStep(all, { columns }) {
  const anyRow = !aheadOf(columns).length;
  const newest = all
    .flatMap(({ own, steps }) => steps.filter((_, i) => anyRow || own[i].value !== null))
    .reduce((most, step) => Math.max(most, step), -Infinity);
  if (all.length && newest === -Infinity) {
    throw new TableError(["table.history", { title: columns.find((c) => c.role === "target").title }]);
  }
  return newest;
}

/** Numbers of the steps; that of weeks goes through the first date of the table. */
function gridOf(rows, frequency) {
  if (frequency in UNITS) {
    const length = UNITS[frequency];
    const first = Math.floor(rows.reduce((least, { at }) => Math.min(least, at), Infinity));
    return { stepOf: (at) => Math.floor((at - first) / length), momentOf: (step) => first + length * step };
  }
  const months = MONTHS[frequency];
  const monthOf = (date) => date.getUTCFullYear() * 12 + date.getUTCMonth();
  return {
    stepOf: (day) => Math.floor(monthOf(new Date(day * DAY)) / months),
    momentOf: (step) => monthEnd(0, (step + 1) * months - 1),
  };
}

function monthEnd(year, month) {
  return new Date(0).setUTCFullYear(year, month + 1, 0) / DAY;
}

function refuseOffGrid(rows, grid, frequency) {
  const off = rows.filter(({ at }) => grid.momentOf(grid.stepOf(at)) !== at);
  if (off.length) {
    const examples = off.slice(0, 3).map(({ row, at }) => ({ row, date: textOf(at, frequency) }));
    throw new TableError(["table.grid", { count: off.length, rows: examples }], [`inputs.grid.${frequency}`]);
  }
}

/** Rows by series, in the order of the series. */
export function bySeries(rows) {
  const found = new Map();
  for (const row of rows) {
    if (!found.has(row.series)) {
      found.set(row.series, []);
    }
    found.get(row.series).push(row);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Values from the series' first step to the last one, those that count, and what is known beside them. */
function laidOut({ id, own, steps }, last, contract) {
  const first = Math.min(...steps, last + 1);
  const values = new Float32Array(last - first + 1).fill(contract.absent === "zero" ? 0 : NaN);
  const places = steps.map((step) => step - first);
  own.forEach(({ value }, i) => {
    values[places[i]] = value ?? NaN; // a place after the last step is none, and stays so
  });
  const known = aheadOf(contract.columns);
  const beside = covariatesOf(contract.columns).map((column) => {
    const cells = own.map((row) => cellOf(row, column));
    const length = values.length + (known.includes(column) ? contract.horizon : 0);
    return [column.name, isOfSteps(column) ? ofSteps(cells, places, length, column) : single(cells, column, id)];
  });
  const made = { values, beside: new Map(beside) };
  return { ...made, values: metDemand(made, contract.columns) };
}

/** A covariate's cell as the graph takes it. */
function cellOf({ beside }, { name, kind }) {
  const value = beside[name];
  return kind === "number" ? Math.fround(value ?? NaN) : (value ?? "");
}

function ofSteps(cells, places, length, { kind }) {
  const held = new Array(length).fill(kind === "number" ? NaN : "");
  cells.forEach((cell, i) => {
    if (places[i] < length) {
      held[places[i]] = cell;
    }
  });
  return held;
}

/** The one known value of a series. */
function single(cells, { kind, categories, title }, id) {
  const isKnown = (cell) => (kind === "number" ? !Number.isNaN(cell) : categories.includes(cell));
  const known = new Set(cells.filter(isKnown));
  if (known.size > 1) {
    throw new TableError(["table.static", { title, series: seriesTitle(id) }]);
  }
  return known.size ? [...known][0] : kind === "number" ? NaN : "";
}

/** Values of a history but those of steps that were not open, or at which not all demand could be met. */
function metDemand({ values, beside }, columns) {
  const flags = columns.filter(({ role }) => ["open", "available"].includes(role)).map(({ name }) => beside.get(name));
  return values.map((value, i) => (flags.some((flag) => flag[i] === 0) ? NaN : value));
}

/** Rows that repeat a step. */
function repeats({ own, steps }) {
  const seen = new Set();
  return own.filter((_, i) => seen.size === seen.add(steps[i]).size);
}

function whyLeft(values, ahead, known, { minimum_history: minimum, horizon }) {
  const whole = ahead.filter(({ beside }) => known.every(({ name }) => beside[name] !== null));
  if (known.length && ahead.length && whole.length < horizon) {
    return { key: "series.plan", values: { horizon, columns: listed(known.map(({ title }) => title)) } };
  }
  const count = values.filter((value) => !Number.isNaN(value)).length;
  return count < minimum ? { key: "series.short", values: { known: count, minimum } } : null;
}

/** Numbers of the first rows, as text. */
export function rowNumbers(rows) {
  return rows.slice(0, 5).map(({ row }) => row).join(", ") + (rows.length > 5 ? ", …" : "");
}
