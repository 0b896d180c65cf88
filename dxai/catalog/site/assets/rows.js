// Records against the contract, as dxai/data/checks.py and dxai/inference/predict.py do it.

import { TableError, trimmed } from "./csv.js";

const UNIT_BEHIND = /\s*[([（［][^()[\]（）［］]*[)\]）］]$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const NO_FINITE_NUMBER = /^[+-]?(?:inf(?:inity)?|nan)$/i;
const DATE = /^(\d{4})-(\d{1,2})-(\d{1,2})$/;
const TIME = /^(\d{4}-\d{1,2}-\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::([0-5]?\d(?:\.\d+)?))?)?$/;
const DAY = 86_400_000;

/** Place of each column in the header, by id. A column goes by its id or one of its titles, a unit behind it or not. */
export function matchHeader(header, columns, needed) {
  const ids = header.map((name) => meaning(name, columns));
  const missing = columns.filter((c) => needed(c) && !ids.includes(c.name));
  const reasons = missing.map((c) => ["table.missing", { title: c.title, id: c.name }]);
  const strangers = header.filter((_, i) => ids[i] === null);
  if (missing.length && strangers.length) {
    reasons.push(["table.strangers", { names: strangers.join(", ") }]);
  }
  for (const { name, title } of columns) {
    const same = header.filter((_, i) => ids[i] === name);
    if (same.length > 1) {
      reasons.push(["table.same", { names: same.join(", "), title }]);
    }
  }
  header.forEach((name, i) => {
    const column = columns.find((c) => c.name === ids[i]);
    if (column && column.kind === "number" && !isInItsUnit(name, column)) {
      reasons.push(["table.unit", { name, title: column.title, unit: column.unit }]);
    }
  });
  if (reasons.length) {
    throw new TableError(...reasons);
  }
  return new Map(ids.flatMap((id, i) => (id ? [[id, i]] : [])));
}

function meaning(name, columns) {
  if (columns.some((c) => c.name === name)) {
    return name;
  }
  const wanted = plain(name);
  const found = columns.filter((c) => [c.name, c.title.en, c.title.ko].some((other) => plain(other) === wanted));
  return found.length === 1 ? found[0].name : null;
}

function plain(name) {
  return trimmed(exactly(name).replace(UNIT_BEHIND, ""));
}

function exactly(name) {
  return trimmed(name.normalize("NFC")).toLowerCase();
}

/**
 * Whether a header shows the column's unit, or none. The page knows the spellings of that one alone: any other text in
 * brackets is told, but a number and the letter of a symbol.
 */
function isInItsUnit(name, column) {
  const [, inside] = /[([（［]([^()[\]（）［］]*)[)\]）］]$/.exec(trimmed(name)) ?? ["", ""];
  const text = trimmed(inside);
  const isTemperature = ["C", "F", "K"].some((letter) => column.spellings.includes(letter));
  const isSymbol = /^\p{L}$/u.test(text) && !(isTemperature && /^[CFK]$/.test(text));
  return (
    [column.name, column.title.en, column.title.ko].some((other) => exactly(other) === exactly(name)) ||
    isSymbol ||
    !/[\p{L}%‰]/u.test(text.normalize("NFKC")) ||
    column.spellings.includes(text) ||
    column.spellings.includes(text.normalize("NFKC").replace(/[\s._^]+/g, "").toLowerCase())
  );
}

/**
 * Cells to numbers, days or hours since 1970-01-01 and texts, null where empty.
 *
 * Returns the values by column id, and the problems of each row: `{row, column, rule, value}`.
 */
export function check(records, places, columns) {
  const values = new Map();
  const problems = records.map(() => []);
  for (const column of columns.filter((c) => places.has(c.name))) {
    const place = places.get(column.name);
    const typed = records.map((record) => typedCell(record[place], column));
    typed.forEach(({ rule, text }, i) => {
      if (rule) {
        problems[i].push({ row: i + 2, column, rule, value: text });
      }
    });
    values.set(column.name, typed.map(({ value }) => value));
  }
  return { values, problems };
}

function typedCell(cell, column) {
  const text = trimmed(cell);
  if (text === "") {
    return { value: null, text, rule: column.required || column.role === "series" || column.role === "time" ? "empty" : null };
  }
  if (column.kind === "number") {
    return { text, ...numberCell(text, column) };
  }
  if (column.kind === "date") {
    const value = dayOf(text);
    return { value, text, rule: value === null ? "date" : null };
  }
  if (column.kind === "timestamp" && column.role === "time") {
    const value = hourOf(text);
    return { value, text, rule: value === null ? "timestamp" : null };
  }
  return { value: text, text, rule: null };
}

function numberCell(text, column) {
  if (!NUMBER.test(text)) {
    return { value: null, rule: NO_FINITE_NUMBER.test(text) ? "finite" : "number" };
  }
  const value = Number(text);
  if (!Number.isFinite(value)) {
    return { value: null, rule: "finite" };
  }
  const low = column.minimum !== null && value < column.minimum;
  const high = column.maximum !== null && value > column.maximum;
  return { value, rule: low ? "minimum" : high ? "maximum" : null };
}

/** Days since 1970-01-01, or null where the text is no date. */
export function dayOf(text) {
  const found = DATE.exec(text);
  if (!found) {
    return null;
  }
  const [year, month, day] = found.slice(1).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() / DAY : null;
}

/** Hours since 1970-01-01, with a fraction between full hours, or null where the text is no time. */
function hourOf(text) {
  const [, date, ...parts] = TIME.exec(text) ?? [];
  const day = date === undefined ? null : dayOf(date);
  const [hours, minutes, seconds] = parts.map((part) => Number(part ?? 0));
  return day === null || hours > 23 || minutes > 59 ? null : 24 * day + hours + minutes / 60 + seconds / 3600;
}

/** The ISO text of a day, or of an hour where steps are hours. */
export function textOf(moment, frequency) {
  const hourly = frequency === "hourly";
  const text = new Date(moment * (hourly ? DAY / 24 : DAY)).toISOString();
  return hourly ? text.slice(0, 19).replace("T", " ") : text.slice(0, 10);
}

/** Titles of the columns whose value lies outside the training rows, and of those that are empty. */
export function cautions(values, row, features) {
  const outside = features.filter((column) => isOutside(values.get(column.name)?.[row] ?? null, column));
  const imputed = features.filter((column) => (values.get(column.name)?.[row] ?? null) === null);
  return { outside, imputed };
}

function isOutside(value, column) {
  if (value === null) {
    return false;
  }
  if (column.kind === "category") {
    return !column.categories.includes(value);
  }
  return column.seen !== null && (value < column.seen[0] || value > column.seen[1]);
}

const SENTENCES = {
  number: "holds numbers",
  date: "holds dates like 2011-12-04",
  timestamp: "holds times like 2011-12-04 13:30:00",
  empty: "must not be empty",
  finite: "holds finite numbers",
  minimum: "is at least",
  maximum: "is at most",
};

/** What `dxai predict --on-bad-rows flag` writes beside a bad row; columns go by the names that the file gives them. */
export function reason(problems, header, places) {
  const name = ({ column }) => header[places.get(column.name)];
  const told = problems.map((p) => `rule broken: ${name(p)} ${`${SENTENCES[p.rule]} ${p.column.limits[p.rule] ?? ""}`.trim()}`);
  return told.length ? told.join("; ") : null;
}
