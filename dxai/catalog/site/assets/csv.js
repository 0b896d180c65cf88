// Bytes to records, strictly, as dxai/data/readers.py does it: one decode ladder, no type sniffing, no repair.

/** A table that is refused whole; `reasons` are `[key, values]` of texts.json. */
export class TableError extends Error {
  constructor(...reasons) {
    super(reasons.map(([key, values]) => `${key} ${JSON.stringify(values ?? {})}`).join("; "));
    this.reasons = reasons;
  }
}

/** BOM, UTF-8, CP949; what browsers call euc-kr is CP949. */
export function decode(bytes) {
  if (["PK\x03\x04", "PAR1"].includes(String.fromCharCode(...bytes.slice(0, 4)))) {
    throw new TableError(["table.excel"]);
  }
  if (bytes.includes(0)) {
    throw new TableError(["table.nul"]);
  }
  for (const encoding of ["utf-8", "euc-kr"]) {
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(bytes);
    } catch {
      // the next rung
    }
  }
  throw new TableError(["table.decode"]);
}

/** Text without blanks around it, as Unicode and Python know them; `trim` would take a byte order mark as well. */
export function trimmed(text) {
  return text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
}

/** A header of distinct names, and rows of as many cells. */
export function parse(text) {
  const [first = [], ...rows] = text.includes('"') ? quotedRecords(text) : plainRecords(text);
  const header = first.map(trimmed);
  refuseHeader(header);
  const ragged = rows.flatMap((row, i) => (row.length === header.length ? [] : [{ row: i + 2, cells: row.length }]));
  if (ragged.length) {
    const values = { count: ragged.length, width: header.length, rows: ragged.slice(0, 5) };
    throw new TableError(["table.ragged", values]);
  }
  return { header, rows };
}

function refuseHeader(header) {
  if (!header.length || (header.length === 1 && !header[0])) {
    throw new TableError(["table.empty"]);
  }
  const reasons = header.flatMap((name, i) => (name ? [] : [["table.unnamed", { column: i + 1 }]]));
  for (const name of new Set(header)) {
    const count = header.filter((other) => other === name).length;
    if (name && count > 1) {
      reasons.push(["table.repeated", { name, count }]);
    }
  }
  if (header.length === 1 && /[;\t|]/.test(header[0])) {
    reasons.push(["table.commas"]);
  }
  if (reasons.length) {
    throw new TableError(...reasons);
  }
}

function plainRecords(text) {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") {
    lines.pop();
  }
  return lines.map((line) => (line === "" ? [] : line.split(",")));
}

const CELL = /(?:"([^"]*(?:""[^"]*)*)"|((?!")[^,\r\n]*))(,|\r\n|\n|\r|$)/y;

/** Records with quotes as in RFC 4180; a line without any character has no cell. */
function quotedRecords(text) {
  const records = [];
  let record = [];
  CELL.lastIndex = 0;
  while (CELL.lastIndex < text.length || record.length) {
    const start = CELL.lastIndex;
    const [, quoted, plain, end] = CELL.exec(text) ?? refuseQuoting(text, start);
    if (end !== "," && !record.length && plain === "") {
      records.push([]);
      continue;
    }
    record.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ",") {
      records.push(record);
      record = [];
    }
  }
  return records;
}

function refuseQuoting(text, start) {
  throw new TableError(["table.quoting", { line: text.slice(0, start).split(/\r\n|\n|\r/).length }]);
}

/** Records to CSV text. */
export function format(records) {
  return records.map((record) => `${record.map(cell).join(",")}\n`).join("");
}

function cell(value) {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
