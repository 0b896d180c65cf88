// Who predicts: ONNX Runtime inside this page, or the server that the page comes from. Both answer the same questions.

import { decode, format, parse } from "./csv.js";
import { dateOf, dayOf } from "./rows.js";
import { shiftDay } from "./panel.js";

export const LEVELS = [10, 20, 30, 40, 50, 60, 70, 80, 90];

let opened = null;

/**
 * The model of the page, opened on first use.
 *
 * `rows(values, chosen)` gives the named outputs of the chosen rows, a predicted class by its text; `forecast(series)`
 * one forecast per series: `{mean, lower, upper, quantiles}`, the quantiles by step and level. Both take as many at
 * once as `most` says.
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

  get outputs() {
    return this.session.outputNames;
  }

  async rows(values, chosen) {
    const answer = await this.session.run(this.#inputs(values, chosen));
    return new Map(this.outputs.map((name, i) => [name, i ? answer[name].data : named(answer[name].data, this.page)]));
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
    const { context } = this.page;
    const history = new Float32Array(series.length * context).fill(NaN);
    series.forEach(({ values }, i) => {
      const held = values.slice(-context);
      history.set(held, (i + 1) * context - held.length);
    });
    return {
      history: new Tensor("float32", history, [series.length, context]),
      last_day: new Tensor("int64", BigInt64Array.from(series, ({ lastDay }) => BigInt(lastDay)), [series.length]),
    };
  }

  #one(answer, i) {
    const { horizon } = this.page;
    const part = (name, width) => [...answer[name].data.subarray(i * width, (i + 1) * width)];
    const quantiles = part("quantiles", horizon * LEVELS.length);
    const steps = Array.from({ length: horizon }, (_, s) => quantiles.slice(s * LEVELS.length, (s + 1) * LEVELS.length));
    return { mean: part("mean", horizon), lower: part("lower", horizon), upper: part("upper", horizon), quantiles: steps };
  }
}

class ServerModel {
  most = { rows: 20_000, series: 256 }; // a server takes requests of a limited size
  outputs = []; // told by the first answer

  constructor(page) {
    this.page = page;
  }

  async rows(values, chosen) {
    const features = this.page.columns.filter((c) => c.role === "feature").map((c) => c.name);
    const records = chosen.map((row) => features.map((name) => values.get(name)[row]));
    const { header, rows } = await this.#ask([features, ...records]);
    this.outputs = header.filter((name) => !features.includes(name));
    const column = (name) => rows.map((row) => row[header.indexOf(name)]);
    const numbers = (name) => Float32Array.from(column(name), Number);
    const isClass = (i) => i === 0 && this.page.classes.length > 0;
    return new Map(this.outputs.map((name, i) => [name, isClass(i) ? column(name) : numbers(name)]));
  }

  async forecast(series) {
    const { columns, frequency, horizon } = this.page;
    const [id, time, target] = ["series", "time", "target"].map((role) => columns.find((c) => c.role === role));
    const records = series.flatMap((one) =>
      [...one.values].flatMap((value, i) => {
        const date = dateOf(shiftDay(one.lastDay, i + 1 - one.values.length, frequency));
        return Number.isNaN(value) && target.required ? [] : [[one.id, date, Number.isNaN(value) ? "" : value]];
      }),
    );
    const { header, rows } = await this.#ask([[id.name, time.name, target.name], ...records]);
    const cell = (row, name) => Math.fround(row[header.indexOf(`${target.name}_${name}`)]);
    return series.map((_, i) => {
      const own = rows.slice(i * horizon, (i + 1) * horizon);
      const [mean, lower, upper] = ["mean", "lower", "upper"].map((name) => own.map((row) => cell(row, name)));
      return { mean, lower, upper, quantiles: own.map((row) => LEVELS.map((level) => cell(row, `q${level}`))) };
    });
  }

  async #ask(records) {
    const headers = { "Content-Type": "text/csv", Accept: "text/csv" };
    const answer = await fetched(this.page.predict, { method: "POST", headers, body: format(records) });
    return parse(decode(await answer.bytes()));
  }
}

/** The first output: numbers as they are, of classes the text of each. */
function named(numbers, { classes }) {
  return classes.length ? Array.from(numbers, (number) => classes[number] ?? null) : numbers;
}

async function fetched(place, options = {}) {
  const answer = await fetch(place, options);
  if (!answer.ok) {
    throw new Error(`${answer.status} ${(await answer.text()).slice(0, 500) || answer.statusText}`);
  }
  return { bytes: async () => new Uint8Array(await answer.arrayBuffer()) };
}
