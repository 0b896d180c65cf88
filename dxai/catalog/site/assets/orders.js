// What to order: the quantity that covers the demand of a lead time, drawn and summed as dxai/data/orders.py does it.

import { format } from "./csv.js";
import { shortest } from "./predict.js";

const DRAWS = 1000;

/** Quantity that is enough with a probability of `percent`, and the mean, of the first `steps` steps of a forecast. */
export function orderOf(forecast, page, { percent, steps }, spots = spotsOf(page, steps)) {
  const { minimum } = targetOf(page);
  const [mean, ...levels] = [...columnsOf(page, "mean"), ...levelsOf(page)].map((column) => forecast.get(column));
  const sums = Float64Array.from(spots, (own) => {
    return own.reduce((sum, spot, step) => sum + Math.max(valueAt(spot, levels, step), minimum ?? -Infinity), 0);
  });
  const place = (percent / 100) * DRAWS - 0.5; // between two of the sorted sums
  const [low, high] = sums.sort().slice(Math.floor(place), Math.floor(place) + 2);
  const order = low + (high - low) * (place - Math.floor(place));
  return { order: Math.fround(order), mean: Math.fround(mean.slice(0, steps).reduce((sum, value) => sum + value, 0)) };
}

/** One row per series as CSV text, as `dxai predict --service-level` writes them. */
export function ordersCsv({ header, places: found, series }, page, asked) {
  const ids = page.columns.filter((c) => c.role === "series").map(({ name }) => header[found.get(name)]);
  const { name } = targetOf(page);
  const spots = spotsOf(page, asked.steps);
  const records = series.map(({ own, forecast }) => {
    const { order, mean } = orderOf(forecast, page, asked, spots);
    return [...own[0].names, asked.steps, shortest(mean), shortest(order)];
  });
  return format([[...ids, "steps", `${name}_mean`, `${name}_order_${asked.percent}`], ...records]);
}

function targetOf({ columns }) {
  return columns.find((c) => c.role === "target");
}

function columnsOf({ answers }, output) {
  return answers.filter((one) => one.output === output).map(({ column }) => column);
}

/** Columns of all quantiles, the outermost ones calibrated. */
function levelsOf(page) {
  return [...columnsOf(page, "lower"), ...columnsOf(page, "quantiles").slice(1, -1), ...columnsOf(page, "upper")];
}

/** Where every draw lies among the levels, step by step. */
function spotsOf(page, steps) {
  const count = levelsOf(page).length;
  return places(steps, page.step_correlation).map((own) => own.map((place) => spotOf(place, count)));
}

/** Between which levels a probability lies, and how far beyond the outermost ones. */
function spotOf(place, count) {
  const scaled = place * (count + 1) - 1;
  const below = Math.min(Math.max(Math.floor(scaled), 0), count - 2);
  const beyond = (rest) => Math.max(0, Math.log2(1 / (count + 1) / Math.max(rest, 1e-12)));
  return { below, part: Math.min(Math.max(scaled - below, 0), 1), upper: beyond(1 - place), lower: beyond(place) };
}

/** The value there: straight between levels, exponential tails beyond. */
function valueAt({ below, part, upper, lower }, levels, step) {
  const level = (i) => levels.at(i)[step];
  const inside = level(below) + (level(below + 1) - level(below)) * part;
  return inside + (level(-1) - level(-2)) * upper - (level(1) - level(0)) * lower;
}

/** Probabilities of every draw, step by step: ranks of correlated normal scores, half of them mirror images. */
export function places(steps, correlation) {
  const half = Array.from({ length: DRAWS / 2 }, (_, draw) => draw);
  const common = half.map((draw) => Math.sqrt(correlation) * normal(draw, 0));
  const found = Array.from({ length: DRAWS }, () => []);
  for (let step = 1; step <= steps; step++) {
    const drawn = half.map((draw) => common[draw] + Math.sqrt(1 - correlation) * normal(draw, step));
    const scores = [...drawn, ...drawn.map((score) => -score)];
    const order = [...scores.keys()].sort((a, b) => scores[a] - scores[b]);
    order.forEach((draw, rank) => found[draw].push((rank + 0.5) / DRAWS));
  }
  return found;
}

/** The standard normal number of a draw and step, by Box and Muller. */
function normal(draw, step) {
  const [first, second] = [0, 1].map((part) => (hashed((hashed(draw) + 2 * step + part) >>> 0) + 0.5) / 2 ** 32);
  return Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
}

/** Spreads whole numbers over 32 bits. Source: Chris Wellons's hash-prospector, lowbias32. */
function hashed(number) {
  const once = Math.imul(number ^ (number >>> 16), 0x7feb352d);
  const twice = Math.imul(once ^ (once >>> 15), 0x846ca68b);
  return (twice ^ (twice >>> 16)) >>> 0;
}
