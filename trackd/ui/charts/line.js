/** Curves over an axis: many metrics of many runs, smoothed, grouped, zoomed down to every point, live. */

import { history } from "./data.js";
import { Frame } from "./frame.js";
import { colour, DASHES } from "./paint.js";
import { formatAs, formatNumber, spanOf } from "./scale.js";

const KINDS = ({ step: "linear", time: "time", relative: "duration", metric: "linear" });
export const AXES = ({ step: "Step", time: "Time", relative: "Time since start" });

export class LineChart {
  constructor(metrics, told = {}) {
    this.metrics = metrics;
    this.told = told;
    this.runs = [];
    this.options = { x: "step", smoothing: 0 };
    this.view = { x: null, y: null };
    this.curves = [];
    this.frame = new Frame({
      label: `Line chart of ${metrics.join(", ")}. Arrow keys read values, plus and minus zoom, shift and arrows move, 0 shows all.`,
      paint: (ctx, box, x, y, theme) => this.marks(ctx, box, x, y, theme),
      read: (x, y, px, py) => this.read(x, y, px, py),
      view: (view) => this.zoom(view),
      steps: () => (this.curves.length ? this.curves.reduce((a, b) => (b.xs.length > a.xs.length ? b : a)).xs : []),
    });
    this.frame.note = "Loading…";
    this.frame.el.addEventListener("chart-width", () => this.load());
    this.el = this.frame.el;
  }

  draw() { this.frame.draw(); }

  paint(ctx, left, top, width, height, theme) { return this.frame.paint(ctx, left, top, width, height, theme); }

  destroy() {
    this.aborter?.abort();
    clearTimeout(this.timer);
    this.frame.destroy();
  }

  /** Show these runs with these options. */
  set(runs, options, view = this.view) {
    // What was read along another axis has no place on this one.
    if (options.x !== this.options.x || options.xMetric !== this.options.xMetric) this.curves = [];
    this.runs = runs;
    this.options = options;
    this.view = view;
    if (this.curves.length) {
      this.axes();
      this.frame.draw();
    }
    this.load();
  }

  zoom(view) {
    const whole = !view.x && !view.y;
    this.view = whole ? view : { x: view.x ? this.sane(view.x) : this.view.x, y: view.y || (view.x && !this.view.y ? null : this.view.y) };
    this.axes();
    this.frame.draw();
    this.told.onView?.(this.view);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 60);
  }

  /** A window that still has a width that numbers can express. */
  sane([low, high]) {
    const least = Math.max(Math.abs(low), Math.abs(high), 1e-300) * 1e-12;
    return high - low > least ? [low, high] : [low - least, high + least];
  }

  grouped() {
    return this.runs.some((run) => run.group !== undefined);
  }

  question() {
    const { x, xMetric, smoothing } = this.options;
    const series = Math.max(1, this.runs.length * this.metrics.length);
    const width = Math.max(50, Math.round(this.frame.width - 60));
    // Of a hundred curves nobody sees each pixel.
    const buckets = Math.max(20, Math.min(series > 20 ? width >> 1 : width, Math.floor(400_000 / series)));
    const [start, end] = this.view.x || [null, null];
    return {
      run_ids: this.runs.map((run) => run.id), metric_keys: this.metrics, x, x_metric: x === "metric" ? xMetric : undefined,
      start, end, smoothing, buckets: this.grouped() ? Math.min(buckets, 400) : buckets, average: this.grouped() || undefined,
    };
  }

  /** Ask for what is to be seen, unless the answer would be the same. */
  async load() {
    if (!this.frame.width) return;
    if (!this.runs.length) {
      this.curves = [];
      this.frame.note = "No runs to show";
      this.frame.draw();
      return;
    }
    const question = this.question();
    const text = JSON.stringify(question);
    if (this.pending === text) return;
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.pending = text;
    try {
      const answer = await history({ ...question, unless: this.asked === text ? this.state : undefined }, this.aborter.signal);
      this.asked = text;
      this.state = answer.state;
      if (!answer.unchanged) this.take(answer);
    } catch (/** @type {any} */ error) {
      if (error.name === "AbortError") return;
      this.frame.note = this.curves.length ? "" : error.message;
      this.frame.draw();
    } finally {
      if (this.pending === text) this.pending = undefined;
    }
  }

  take(answer) {
    this.curves = this.grouped() ? this.groups(answer) : answer.series.map((one) => this.curve(one));
    this.recolour();
    this.frame.note = this.curves.length ? "" : "No points here";
    this.axes();
    this.frame.draw();
    const shown = this.curves.reduce((sum, curve) => sum + Math.min(curve.xs.length, curve.count), 0);
    const total = this.curves.reduce((sum, curve) => sum + curve.total, 0);
    const every = this.curves.every((curve) => curve.whole);
    this.told.onState?.(this.grouped() || !total ? "" : shown === total ? `${formatNumber(total)} ${total === 1 ? "point" : "points"}` : `${formatNumber(shown)} of ${formatNumber(total)} points`);
    this.el.dataset.points = String(shown);
    this.el.dataset.raw = String(every);
    this.el.dispatchEvent(new CustomEvent("chart-data", { bubbles: true }));
  }

  curve(one) {
    const { x } = this.options;
    const xs = x === "metric" ? one.x : x === "step" ? one.step : x === "relative" ? one.time.map((t) => t - one.base) : one.time;
    const values = one.value.map(Number);
    const odd = [];
    for (let n = 0; n < values.length; n++) if (!Number.isFinite(values[n])) odd.push({ x: xs[n], y: values[n] });
    const smooth = one.smooth ? one.smooth.map((v, n) => (Number.isFinite(values[n]) ? Number(v) : NaN)) : null;
    return { key: one.metric_key, run: one.run_id, label: "", colour: "", dash: [], xs, ys: smooth || values, raw: smooth ? values : null,
      steps: one.step, times: one.time, whole: one.raw, count: one.count, total: one.total, odd };
  }

  /** One curve per group and metric: the mean, and a band around it. */
  groups(answer) {
    const groupOf = new Map(this.runs.map((run) => [run.id, run.group || ""]));
    const found = new Map();
    for (const one of answer.series) {
      const name = JSON.stringify([groupOf.get(one.run_id), one.metric_key]);
      found.set(name, [...(found.get(name) || []), one]);
    }
    return [...found].map(([name, rows]) => {
      const [group, key] = JSON.parse(name);
      const xs = [], ys = [], low = [], high = [];
      answer.places.forEach((place, n) => {
        const values = rows.map((row) => row.value[n]).filter((value) => value !== null);
        if (!values.length) return;
        const mean = values.reduce((a, b) => a + b, 0) / values.length;
        const spread = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
        const around = this.options.band === "error" ? spread / Math.sqrt(values.length) : spread;
        xs.push(place);
        ys.push(mean);
        low.push(this.options.band === "range" ? Math.min(...values) : mean - around);
        high.push(this.options.band === "range" ? Math.max(...values) : mean + around);
      });
      const band = this.options.band === "none" ? {} : { low, high };
      return { key, run: group, label: `${group} (${rows.length})`, colour: "", dash: [], xs, ys, raw: null, steps: [], times: [], whole: true, count: xs.length,
        total: rows.reduce((sum, row) => sum + row.total, 0), odd: [], ...band };
    });
  }

  recolour() {
    const marks = new Map(this.runs.map((run) => [run.id, run]));
    const groups = [...new Set(this.runs.map((run) => run.group || ""))];
    const many = this.runs.length > 1, several = this.metrics.length > 1;
    for (const curve of this.curves) {
      const metric = this.metrics.indexOf(curve.key);
      if (this.grouped()) {
        curve.colour = colour(groups.indexOf(curve.run));
        curve.label = curve.label.split(" · ")[0] + (several ? ` · ${curve.key}` : "");
      } else {
        const mark = marks.get(curve.run);
        curve.colour = many || !several ? mark?.colour || colour(0) : colour(metric);
        curve.label = !many ? curve.key : `${mark?.name || curve.run}${several ? ` · ${curve.key}` : ""}`;
      }
      curve.dash = (many || this.grouped()) && several ? DASHES[metric % DASHES.length] : [];
    }
  }

  axes() {
    const { x, xMetric, logX, logY, clip } = this.options;
    const kind = logX ? "log" : KINDS[x];
    const across = this.view.x || spanOf(iterate(this.curves, "xs"), kind);
    const label = x === "metric" ? xMetric || "" : AXES[x];
    this.frame.x = { kind, domain: this.positive(across, logX) || [0, 1], label };
    const inside = across || [-Infinity, Infinity];
    const kindY = logY ? "log" : "linear";
    const seen = [...visible(this.curves, inside)];
    const down = this.view.y || (clip ? fence(seen, kindY) : spanOf(seen, kindY, 0.05));
    this.frame.y = { kind: kindY, domain: this.positive(down, logY) || (logY ? [0.1, 1] : [0, 1]), label: "" };
  }

  /** A span of a log axis has no zero. */
  positive(span, log) {
    if (!span || !log || span[0] > 0) return span;
    return span[1] > 0 ? [span[1] / 1e6, span[1]] : null;
  }

  marks(ctx, box, x, y, theme) {
    const many = this.curves.length;
    ctx.lineJoin = "round";
    for (const curve of this.curves) {
      if (curve.low && curve.high) this.paintBand(ctx, curve, x, y);
      if (curve.raw) this.paintLine(ctx, curve, curve.raw, x, y, 1, many > 12 ? 0.12 : 0.28);
    }
    for (const curve of this.curves) this.paintLine(ctx, curve, curve.ys, x, y, many > 30 ? 1.1 : 1.7, many > 60 ? 0.75 : 1);
    ctx.globalAlpha = 1;
    ctx.setLineDash([]);
    for (const curve of this.curves) {
      // Room for the eye: where there are few points, each has a mark.
      if (curve.xs.length < 2 || (curve.xs.length * 9 < box.right - box.left && many <= 20)) this.paintDots(ctx, curve, x, y);
      for (const point of curve.odd) this.paintOdd(ctx, curve, x.to(point.x), point.y, box, theme);
    }
  }

  paintLine(ctx, curve, ys, x, y, width, alpha) {
    ctx.strokeStyle = curve.colour;
    ctx.lineWidth = width;
    ctx.globalAlpha = alpha;
    ctx.setLineDash(curve.dash);
    ctx.beginPath();
    let down = false;
    for (let n = 0; n < ys.length; n++) {
      const px = x.to(curve.xs[n]), py = y.to(ys[n]);
      if (!Number.isFinite(px) || !Number.isFinite(py)) down = false;
      else if (down) ctx.lineTo(px, py);
      else [down] = [true, ctx.moveTo(px, py)];
    }
    ctx.stroke();
  }

  paintBand(ctx, curve, x, y) {
    const { low = [], high = [] } = curve;
    const least = (v) => { const py = y.to(v); return Number.isFinite(py) ? py : y.range[0]; };
    ctx.fillStyle = curve.colour;
    ctx.globalAlpha = 0.16;
    ctx.beginPath();
    curve.xs.forEach((place, n) => (n ? ctx.lineTo(x.to(place), least(high[n])) : ctx.moveTo(x.to(place), least(high[n]))));
    for (let n = curve.xs.length - 1; n >= 0; n--) ctx.lineTo(x.to(curve.xs[n]), least(low[n]));
    ctx.closePath();
    ctx.fill();
    ctx.globalAlpha = 1;
  }

  paintDots(ctx, curve, x, y) {
    ctx.fillStyle = curve.colour;
    for (let n = 0; n < curve.xs.length; n++) {
      const px = x.to(curve.xs[n]), py = y.to(curve.ys[n]);
      if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
      ctx.beginPath();
      ctx.arc(px, py, 2.6, 0, 7);
      ctx.fill();
    }
  }

  /** NaN stands below, infinities stand at the edge they left by. */
  paintOdd(ctx, curve, px, value, box, theme) {
    if (!(px >= box.left - 5 && px <= box.right + 5)) return;
    const up = value === Infinity;
    const tip = up ? box.top + 1 : box.bottom - 1, base = up ? tip + 8 : tip - 8;
    ctx.fillStyle = ctx.strokeStyle = curve.colour;
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    if (Number.isNaN(value)) {
      for (const side of [-1, 1]) {
        ctx.moveTo(px - 3.5 * side, base + 1);
        ctx.lineTo(px + 3.5 * side, base + 7);
      }
      ctx.stroke();
    } else {
      ctx.moveTo(px, tip);
      ctx.lineTo(px - 4.5, base);
      ctx.lineTo(px + 4.5, base);
      ctx.closePath();
      ctx.fill();
    }
  }

  /** What all curves say where the pointer is. */
  read(x, y, px, py) {
    let nearest = null;
    const hits = [];
    for (const curve of this.curves) {
      const n = closest(curve.xs, x.from(px));
      if (n < 0) continue;
      const at = x.to(curve.xs[n]);
      let far = Math.abs(y.to(curve.ys[n]) - py);
      if (!Number.isFinite(far)) far = 1e6;
      const hit = { curve, n, at, far: Math.abs(at - px) * 4 + far };
      hits.push(hit);
      if (!nearest || hit.far < nearest.far) nearest = hit;
    }
    if (!nearest) return null;
    const place = nearest.curve.xs[nearest.n];
    const rows = [];
    for (const { curve } of hits) {
      const n = closest(curve.xs, place);
      const at = x.to(curve.xs[n]);
      if (Math.abs(at - nearest.at) > 24) continue;
      const text = formatNumber(curve.ys[n]);
      const more = curve.raw && curve.raw[n] !== curve.ys[n] ? ` (${formatNumber(curve.raw[n])})` : curve.low && curve.high ? ` (${formatNumber(curve.low[n])} … ${formatNumber(curve.high[n])})` : "";
      const value = curve.raw && Number.isNaN(curve.ys[n]) ? formatNumber(curve.raw[n]) : text + more;
      rows.push({ colour: curve.colour, label: curve.label, text: value, px: at, py: y.to(curve.ys[n]), order: curve.ys[n], near: curve === nearest.curve });
    }
    rows.sort((a, b) => (b.order > a.order ? 1 : b.order < a.order ? -1 : 0));
    const at = rows.findIndex((row) => row.near), most = 12;
    const first = Math.max(0, Math.min(at - (most >> 1), rows.length - most));
    const { x: axis, xMetric } = this.options;
    const name = axis === "metric" ? xMetric : AXES[axis];
    const when = axis === "step" && nearest.curve.times.length ? ` · ${formatAs("time", nearest.curve.times[nearest.n])}` : axis !== "step" && nearest.curve.steps.length ? ` · step ${formatNumber(nearest.curve.steps[nearest.n])}` : "";
    return { title: `${name} ${formatAs(KINDS[axis], place)}${when}`, px: nearest.at, rows: rows.slice(first, first + most), more: Math.max(rows.length - most, 0) };
  }

  /** What is shown, as rows for a table or CSV. */
  table() {
    const head = this.grouped() ? ["group", "metric", this.frame.x.label, "mean", "low", "high"] : ["run", "run_id", "metric", "step", "time", "value"];
    const { x, smoothing } = this.options;
    if (!this.grouped() && x === "metric") head.push(this.frame.x.label);
    if (!this.grouped() && smoothing) head.push("smoothed");
    const names = new Map(this.runs.map((run) => [run.id, run.name]));
    const rows = [];
    for (const curve of this.curves) {
      for (let n = 0; n < curve.xs.length; n++) {
        if (this.grouped()) {
          rows.push([curve.run, curve.key, curve.xs[n], curve.ys[n], curve.low?.[n] ?? "", curve.high?.[n] ?? ""]);
          continue;
        }
        const time = new Date(curve.times[n]);
        const row = [names.get(curve.run) || "", curve.run, curve.key, curve.steps[n], Number.isNaN(time.getTime()) ? curve.times[n] : time.toISOString(), (curve.raw || curve.ys)[n]];
        if (x === "metric") row.push(curve.xs[n]);
        if (smoothing) row.push(curve.ys[n]);
        rows.push(row);
      }
    }
    return { head, rows };
  }

  legend() {
    return this.curves.map((curve) => ({ colour: curve.colour, label: curve.label, dash: curve.dash }));
  }
}

function* iterate(curves, name) {
  for (const curve of curves) yield* curve[name];
}

function* visible(curves, [low, high]) {
  for (const curve of curves) {
    for (const values of [curve.raw, curve.ys, curve.low, curve.high]) {
      if (!values) continue;
      for (let n = 0; n < values.length; n++) if (curve.xs[n] >= low && curve.xs[n] <= high) yield values[n];
    }
  }
}

/** Where nearly all values lie: from the 2nd to the 98th of a hundred, and half of that around it. */
function fence(values, kind) {
  const sorted = values.filter((v) => Number.isFinite(v) && (kind !== "log" || v > 0)).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const [low, high] = [0.02, 0.98].map((part) => sorted[Math.round(part * (sorted.length - 1))]);
  const room = 0.5 * (high - low);
  return spanOf([Math.max(sorted[0], low - room), Math.min(sorted[sorted.length - 1], high + room)], kind, 0.05);
}

/** The position of the number closest to a value, in ascending order; -1 where there is none. */
function closest(xs, value) {
  let low = 0, high = xs.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - xs[low - 1] < xs[low] - value ? low - 1 : low;
}
