// Who predicts: ONNX Runtime inside this page, or the server that the page comes from. Both answer the same questions.

import { decode, format, parse } from "./csv.js";
import { textOf } from "./rows.js";
import { aheadOf, covariatesOf, isOfSteps, joined, shifted } from "./panel.js";

let opened = null;

/**
 * The model of the page, opened on first use.
 *
 * `rows(values, chosen)` gives the columns of the answer for the chosen rows, a predicted class by its text;
 * `forecast(series, end)` the same for every series, one value per step; `end` is a series that shows where all of them
 * end, if they do together. Both take as many at once as `most` says.
 */
export function openModel(page) {
  opened ??= page.backend === "server" ? Promise.resolve(new ServerModel(page)) : BrowserModel.open(page);
  opened.catch(() => (opened = null)); // the network may be back at the next try
  return opened;
}

class BrowserModel {
  most = { rows: 4096, series: 256 };

  static async open(page) {
    const place = new URL("onnxruntime/", import.meta.url);
    const [runtime, graph] = await Promise.all([import(new URL("ort.wasm.min.js", place)), fetched(page.model)]);
    const [mjs, wasm] = ["js", "wasm"].map((suffix) => new URL(`ort-wasm-simd-threaded.${suffix}`, place).href);
    Object.assign(runtime.env.wasm, { numThreads: 1, proxy: false, wasmPaths: { mjs, wasm } });
    const session = await runtime.InferenceSession.create(await graph.bytes(), { executionProviders: ["wasm"] });
    return new BrowserModel(page, runtime, session);
  }

  constructor(page, runtime, session) {
    Object.assign(this, { page, runtime, session });
  }

  async rows(values, chosen) {
    const answer = await this.session.run(this.#inputs(values, chosen));
    return new Map(this.page.answers.map((one) => [one.column, told(answer[one.output].data, one)]));
  }

  #inputs(values, chosen) {
    const { Tensor } = this.runtime;
    const features = this.page.columns.filter((c) => c.role === "feature");
    const inputs = features.map(({ name, kind }) => {
      const cells = chosen.map((row) => values.get(name)[row]);
      const tensor =
        kind === "number"
          ? new Tensor("float32", Float32Array.from(cells, (cell) => cell ?? NaN), [cells.length])
          : new Tensor("string", cells.map((cell) => cell ?? ""), [cells.length]);
      return [name, tensor];
    });
    return Object.fromEntries(inputs);
  }

  async forecast(series) {
    const answer = await this.session.run(this.#histories(series));
    return series.map((_, i) => this.#one(answer, i));
  }

  #histories(series) {
    const { Tensor } = this.runtime;
    const { columns, context, frequency } = this.page;
    const beside = covariatesOf(columns).map((column) => [column.name, this.#beside(column, series)]);
    const history = new Float32Array(series.length * context).fill(NaN);
    series.forEach(({ values }, i) => {
      const held = values.slice(-context);
      history.set(held, (i + 1) * context - held.length);
    });
    return {
      history: new Tensor("float32", history, [series.length, context]),
      [frequency === "hourly" ? "last_hour" : "last_day"]: new Tensor(
        "int64", BigInt64Array.from(series, ({ last }) => BigInt(last)), [series.length],
      ),
      ...Object.fromEntries(beside),
    };
  }

  /** A covariate: one value for each series, or one for each step; steps before the first have none. */
  #beside(column, series) {
    const { columns, context, horizon } = this.page;
    const held = series.map(({ beside }) => beside.get(column.name));
    if (!isOfSteps(column)) {
      return this.#tensor(column, held, [series.length]);
    }
    const steps = context + (aheadOf(columns).includes(column) ? horizon : 0);
    const empty = new Array(steps).fill(column.kind === "number" ? NaN : "");
    const cells = held.flatMap((values) => [...empty.slice(Math.min(values.length, steps)), ...values.slice(-steps)]);
    return this.#tensor(column, cells, [series.length, steps]);
  }

  #tensor({ kind, categories }, cells, shape) {
    const { Tensor } = this.runtime;
    return kind === "number"
      ? new Tensor("float32", Float32Array.from(cells), shape)
      : new Tensor("string", cells.map((cell) => (categories.includes(cell) ? cell : "")), shape);
  }

  /** Columns of one series: where an output holds several, they lie side by side at every step. */
  #one(answer, i) {
    const { horizon, answers } = this.page;
    return new Map(answers.map(({ column, output, place }) => {
      const width = answers.filter((one) => one.output === output).length;
      const own = answer[output].data.subarray(i * horizon * width, (i + 1) * horizon * width);
      return [column, Array.from({ length: horizon }, (_, step) => own[step * width + (place ?? 0)])];
    }));
  }
}

class ServerModel {
  most = { rows: 20_000, series: 256 }; // a server takes requests of a limited size
  constructor(page) {
    this.page = page;
  }

  async rows(values, chosen) {
    const features = this.page.columns.filter((c) => c.role === "feature").map((c) => c.name);
    const records = chosen.map((row) => features.map((name) => values.get(name)[row]));
    const { header, rows } = await this.#ask([features, ...records]);
    const column = (name) => rows.map((row) => row[header.indexOf(name)]);
    const cells = ({ column: name, texts }) => (texts.length ? column(name) : Float32Array.from(column(name), Number));
    return new Map(this.page.answers.map((one) => [one.column, cells(one)]));
  }

  async forecast(series, end) {
    const { answers, columns, horizon } = this.page;
    const [time, target] = ["time", "target"].map((role) => columns.find((c) => c.role === role).name);
    const parts = columns.filter((c) => c.role === "series").map(({ name }) => name);
    const beside = covariatesOf(columns).filter((c) => c.role !== "series");
    const all = end && !series.includes(end) && series.every(({ id }) => id !== end.id) ? [...series, end] : series;
    const records = all.flatMap((one) => [...this.#past(one, beside), ...this.#plan(one, beside)]);
    const { header, rows } = await this.#ask([[...parts, time, target, ...beside.map(({ name }) => name)], ...records]);
    const first = new Map();
    rows.forEach((row, i) => {
      const id = joined(parts.map((name) => row[header.indexOf(name)]));
      first.set(id, first.get(id) ?? i);
    });
    return series.map(({ id }) => {
      const own = rows.slice(first.get(id), first.get(id) + horizon);
      const steps = (name) => own.map((row) => Math.fround(row[header.indexOf(name)]));
      return new Map(answers.map(({ column }) => [column, steps(column)]));
    });
  }

  /** The rows of a history, as they came. */
  #past({ own, last }, beside) {
    const past = own.filter(({ at }) => at <= last);
    return past.map((row) => [...row.names, textOf(row.at, this.page.frequency), row.value, ...beside.map((c) => row.beside[c.name])]);
  }

  /** Rows of the steps ahead with what is known of them. */
  #plan({ own, values, last, beside: held }, beside) {
    const { columns, frequency, horizon } = this.page;
    const known = aheadOf(columns);
    if (!known.length || !own.some(({ at }) => at > last)) {
      return [];
    }
    const [first] = own;
    const cell = (c, step) => (known.includes(c) ? held.get(c.name)[values.length + step] : isOfSteps(c) ? null : first.beside[c.name]);
    return Array.from({ length: horizon }, (_, step) => [
      ...first.names, textOf(shifted(last, step + 1, frequency), frequency), null, ...beside.map((c) => cell(c, step)),
    ]);
  }

  async #ask(records) {
    const headers = { "Content-Type": "text/csv", Accept: "text/csv" };
    const answer = await fetched(this.page.predict, { method: "POST", headers, body: format(records) });
    return parse(decode(await answer.bytes()));
  }
}

/** Numbers as they are, or the texts that they stand for. */
function told(numbers, { texts }) {
  return texts.length ? Array.from(numbers, (number) => texts[number] ?? null) : numbers;
}

async function fetched(place, options = {}) {
  const answer = await fetch(place, options);
  if (!answer.ok) {
    throw new Error(`${answer.status} ${(await answer.text()).slice(0, 500) || answer.statusText}`);
  }
  return { bytes: async () => new Uint8Array(await answer.arrayBuffer()) };
}
