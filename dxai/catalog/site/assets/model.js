// Who predicts: ONNX Runtime inside this page, or the server that the page comes from. Both answer the same questions.

import { decode, format, parse } from "./csv.js";
import { dayOf, textOf } from "./rows.js";
import { shifted } from "./panel.js";

let opened = null;

/**
 * The model of the page, opened on first use.
 *
 * `rows(values, chosen)` gives the columns of the answer for the chosen rows, a predicted class by its text;
 * `forecast(series)` the same for every series, one value per step. Both take as many at once as `most` says.
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
    const { context, frequency } = this.page;
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
    };
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

  async forecast(series) {
    const { answers, columns, frequency, horizon } = this.page;
    const [id, time, target] = ["series", "time", "target"].map((role) => columns.find((c) => c.role === role));
    const records = series.flatMap((one) =>
      [...one.values].flatMap((value, i) => {
        const date = textOf(shifted(one.last, i + 1 - one.values.length, frequency), frequency);
        return Number.isNaN(value) && target.required ? [] : [[one.id, date, Number.isNaN(value) ? "" : value]];
      }),
    );
    const { header, rows } = await this.#ask([[id.name, time.name, target.name], ...records]);
    return series.map((_, i) => {
      const own = rows.slice(i * horizon, (i + 1) * horizon);
      const steps = (name) => own.map((row) => Math.fround(row[header.indexOf(name)]));
      return new Map(answers.map(({ column }) => [column, steps(column)]));
    });
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
