// Long demand rows to histories side by side, as dxai/data/windows.py does it.

import { TableError } from "./csv.js";
import { textOf } from "./rows.js";

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

/**
 * Checked rows `{row, series, at, value}` to histories; a null value counts as missing.
 *
 * Returns the series in order, each `{id, values, last}`, and those that cannot be forecast, each
 * `{id, key, values}` with a text of texts.json. A date off the grid refuses the whole table.
 */
export function toPanel(rows, contract) {
  const grid = gridOf(rows, contract.frequency);
  refuseOffGrid(rows, grid, contract.frequency);
  const newest = rows.reduce((most, { at }) => Math.max(most, grid.stepOf(at)), -Infinity);
  const series = [];
  const left = [];
  for (const [id, own] of bySeries(rows)) {
    const steps = own.map(({ at }) => grid.stepOf(at));
    const last = contract.absent === "zero" ? newest : Math.max(...steps);
    const values = history(steps, own, last, contract.absent === "zero" ? 0 : NaN);
    const reason = whyLeft(steps, own, values, contract.minimum_history);
    if (reason) {
      left.push({ id, ...reason });
    } else {
      series.push({ id, values, last: grid.momentOf(last) });
    }
  }
  return { series, left };
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

/** Values from the series' first step to the last one. */
function history(steps, own, last, absent) {
  const first = Math.min(...steps);
  const values = new Float32Array(last - first + 1).fill(absent);
  own.forEach(({ value }, i) => {
    values[steps[i] - first] = value ?? NaN;
  });
  return values;
}

function whyLeft(steps, own, values, minimum) {
  const seen = new Set();
  const repeated = own.filter((_, i) => seen.size === seen.add(steps[i]).size);
  if (repeated.length) {
    return { key: "series.repeated", values: { rows: rowNumbers(repeated) } };
  }
  const known = values.filter((value) => !Number.isNaN(value)).length;
  return known < minimum ? { key: "series.short", values: { known, minimum } } : null;
}

/** Numbers of the first rows, as text. */
export function rowNumbers(rows) {
  return rows.slice(0, 5).map(({ row }) => row).join(", ") + (rows.length > 5 ? ", …" : "");
}
