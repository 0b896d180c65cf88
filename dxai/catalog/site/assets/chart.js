// Pictures of predictions, drawn as SVG; colours and line widths stand in the style sheet.

import { textOf } from "./rows.js";
import { element } from "./texts.js";

const HEIGHT = 300;
const MARGIN = { top: 12, right: 12, bottom: 28, left: 56 };

/**
 * History, interval band, median and mean of one series.
 *
 * `past` holds `{at, value}`, `future` holds `{at, lower, upper, median, mean}` and, where a plan was changed,
 * `former`, the median before; the element with the id `label` says what it shows.
 */
export function forecastChart(width, past, future, frequency, label) {
  const known = past.filter(({ value }) => !Number.isNaN(value));
  const moments = [...past, ...future].map(({ at }) => at);
  const highest = Math.max(...known.map(({ value }) => value), ...future.map(({ upper, former = upper }) => Math.max(upper, former)));
  const lowest = Math.min(0, ...known.map(({ value }) => value), ...future.map(({ lower, former = lower }) => Math.min(lower, former)));
  const ticks = niceTicks(lowest, highest);
  const x = scale(Math.min(...moments), Math.max(...moments), MARGIN.left, width - MARGIN.right);
  const y = scale(Math.min(lowest, ticks[0]), Math.max(highest, ticks.at(-1)), HEIGHT - MARGIN.bottom, MARGIN.top);
  const line = (name, points) => element("path", { class: name, d: path(points.map(([at, value]) => [x(at), y(value)])) });
  const edges = [...future.map((f) => [f.at, f.upper]), ...[...future].reverse().map((f) => [f.at, f.lower])];
  return element(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-labelledby": label },
    ...ticks.map((value) => gridLine(y(value), width, value)),
    ...ticksOf(moments, width).map((at) => words(x(at), HEIGHT - 8, "middle", textOf(at, frequency))),
    element("path", { class: "band", d: `${path(edges.map(([at, value]) => [x(at), y(value)]))}Z` }),
    ...runs(past).map((run) => line("past", run.map((p) => [p.at, p.value]))),
    ...(future[0].former === undefined ? [] : [line("former", future.map((f) => [f.at, f.former]))]),
    line("median", future.map((f) => [f.at, f.median])),
    line("mean", future.map((f) => [f.at, f.mean])),
  );
}

function scale(low, high, from, to) {
  const spread = high - low || 1;
  return (value) => from + ((value - low) / spread) * (to - from);
}

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** Unbroken parts of a history with gaps. */
function runs(past) {
  const parts = [[]];
  for (const point of past) {
    if (Number.isNaN(point.value)) {
      parts.push([]);
    } else {
      parts.at(-1).push(point);
    }
  }
  return parts.filter((part) => part.length);
}

function gridLine(y, width, value) {
  const line = element("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y });
  return element("g", {}, line, words(MARGIN.left - 8, y + 4, "end", value.toLocaleString("en")));
}

function words(x, y, anchor, text) {
  return element("text", { x, y, "text-anchor": anchor }, text);
}

/** A few dates of the grid, as many as fit. */
function ticksOf(moments, width) {
  const count = Math.max(2, Math.floor((width - MARGIN.left) / 130));
  const every = Math.max(1, Math.ceil(moments.length / count));
  return moments.filter((_, i) => i % every === Math.floor(every / 2));
}

/** About five round values that span the range. */
function niceTicks(low, high) {
  const raw = (high - low || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const first = Math.floor(low / step);
  return Array.from({ length: Math.ceil(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** A share of 1 as a bar. */
export function shareBar(share) {
  return element(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    element("rect", { width: 100 * share, height: 10 }),
  );
}

/** A prediction and its interval on the range of the training rows. */
export function intervalBar({ low, high, lower, upper, value }) {
  const x = scale(Math.min(low, lower), Math.max(high, upper), 0, 100);
  const bar = (name, from, to) => element("rect", { class: name, x: from, y: 0, width: Math.max(to - from, 0), height: 10 });
  return element(
    "svg",
    { class: "interval", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    bar("track", x(low), x(high)),
    bar("band", x(lower), x(upper)),
    bar("mark", x(value) - 0.4, x(value) + 0.4),
  );
}
