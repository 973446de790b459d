/** Runs as points over two fields, coloured by a third; the same as a contour map; and boxes of a metric by the values of a field. */

import { Frame } from "./frame.js";
import { placeOf, valueOf } from "./fields.js";
import { colour, fitted, shade } from "./paint.js";
import { formatNumber, spanOf } from "./scale.js";
import { show } from "./parallel.js";

export class Scatter {
  constructor(mode) {
    this.mode = mode;
    this.points = [];
    this.view = { x: null, y: null };
    this.frame = new Frame({
      label: { scatter: "Scatter plot of runs", contour: "Contour map of runs", box: "Box plots of runs" }[mode],
      paint: (ctx, box, x, y, theme) => (mode === "box" ? this.boxes(ctx, x, y, theme) : this.dots(ctx, box, x, y, theme)),
      read: (x, y, px, py) => this.read(x, y, px, py),
      view: (view) => { this.view = view.x || view.y ? { x: view.x || this.view.x, y: view.y || this.view.y } : view; this.axes(); this.draw(); },
      steps: () => this.points.map((point) => point.x).sort((a, b) => a - b),
    });
    this.el = this.frame.el;
  }

  destroy() { this.frame.destroy(); }
  draw() { this.frame.draw(); }
  paint(ctx, left, top, width, height, theme) { return this.frame.paint(ctx, left, top, width, height, theme); }

  set(runs, x, y, z, logs) {
    if (this.x !== x || this.y !== y) this.view = { x: null, y: null };
    this.x = x;
    this.y = y;
    this.z = z;
    this.logs = logs;
    this.points = runs.map((run) => ({ run, x: placeOf(x, run), y: placeOf(y, run), z: placeOf(z, run) })).filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
    if (this.mode === "box") this.group(runs);
    this.axes();
    this.draw();
  }

  axes() {
    const axis = (field, values, log, view) => {
      const kind = (log && field.numeric ? "log" : "linear");
      if (!field.numeric) return { kind, domain: view || [-0.5, field.words.length - 0.5], label: field.label, names: field.words };
      return { kind, domain: view || spanOf(values, kind, 0.05) || (log ? [0.1, 1] : [0, 1]), label: field.label };
    };
    const { x, y, logs } = this;
    if (!x || !y || !logs) return;
    this.frame.y = axis(y, this.points.map((point) => point.y), logs.ly, this.view.y);
    this.frame.x = this.mode === "box"
      ? { kind: "linear", domain: this.view.x || [-0.5, this.bins.length - 0.5], label: x.label, names: this.bins.map((bin) => bin.name) }
      : axis(x, this.points.map((point) => point.x), logs.lx, this.view.x);
    this.frame.note = this.points.length ? "" : "No run has both values";
  }

  // Points

  span() { return spanOf(this.points.map((point) => point.z)) || [0, 1]; }

  shadeOf(z, span) {
    const [low, high] = span;
    return this.z && !this.z.numeric ? colour(z) : shade(high > low ? 0.05 + ((z - low) / (high - low)) * 0.9 : 0.5);
  }

  dots(ctx, box, x, y, theme) {
    const span = this.span();
    if (this.mode === "contour") this.map(ctx, box, x, y, span, theme);
    ctx.lineWidth = 1.2;
    for (const point of this.points) {
      ctx.beginPath();
      ctx.arc(x.to(point.x), y.to(point.y), this.mode === "contour" ? 3 : 5, 0, 7);
      ctx.fillStyle = Number.isFinite(point.z) ? this.shadeOf(point.z, span) : theme.muted;
      ctx.fill();
      ctx.strokeStyle = this.mode === "contour" ? "#fff" : theme.ground;
      ctx.stroke();
    }
    this.key(ctx, box, span, theme);
  }

  /** The key of colours, within the plot at the upper right. */
  key(ctx, box, span, theme) {
    if (!this.z) return;
    ctx.font = `11px ${theme.font}`;
    [ctx.textBaseline, ctx.textAlign] = ["middle", "right"];
    const rows = this.z.numeric ? [] : this.z.words.slice(0, 10).map((word, n) => ({ word, fill: colour(n) }));
    const name = fitted(ctx, this.z.label, 180);
    const high = this.z.numeric ? 36 : 20 + rows.length * 15;
    const wide = Math.max(110, ctx.measureText(name).width, ...rows.map((row) => Math.min(ctx.measureText(row.word).width, 160) + 16)) + 14;
    const right = box.right - 6, top = box.top + 4;
    ctx.globalAlpha = 0.82;
    ctx.fillStyle = theme.ground;
    ctx.fillRect(right - wide, top, wide, high);
    ctx.globalAlpha = 1;
    ctx.fillStyle = theme.text;
    ctx.fillText(name, right - 6, top + 10);
    for (let n = 0; this.z.numeric && n < 50; n++) {
      ctx.fillStyle = shade(0.05 + (n / 49) * 0.9);
      ctx.fillRect(right - 106 + n * 2, top + 18, 2.2, 6);
    }
    ctx.fillStyle = theme.muted;
    if (this.z.numeric) {
      ctx.fillText(formatNumber(Number(span[1].toPrecision(3))), right - 6, top + 30);
      ctx.textAlign = "left";
      ctx.fillText(formatNumber(Number(span[0].toPrecision(3))), right - 106, top + 30);
    }
    rows.forEach(({ word, fill }, n) => {
      ctx.fillStyle = theme.muted;
      ctx.fillText(fitted(ctx, word, 160), right - 20, top + 26 + n * 15);
      ctx.fillStyle = fill;
      ctx.fillRect(right - 15, top + 21 + n * 15, 9, 9);
    });
  }

  /** A map of z between the points: the mean of all, the nearer the more (inverse distance, Shepard). */
  map(ctx, box, x, y, span, theme) {
    const known = this.points.filter((point) => Number.isFinite(point.z)).map((point) => ({ px: x.to(point.x), py: y.to(point.y), z: point.z }));
    if (!known.length) return;
    const size = Math.max(4, (box.right - box.left) / 110);
    const columns = Math.ceil((box.right - box.left) / size), lines = Math.ceil((box.bottom - box.top) / size);
    const levels = [];
    for (let line = 0; line < lines; line++) {
      levels.push([]);
      for (let column = 0; column < columns; column++) {
        const px = box.left + (column + 0.5) * size, py = box.top + (line + 0.5) * size;
        let sum = 0, weights = 0;
        for (const point of known) {
          const weight = 1 / ((point.px - px) ** 2 + (point.py - py) ** 2 + 30) ** 1.5;
          sum += point.z * weight;
          weights += weight;
        }
        const level = Math.floor(((sum / weights - span[0]) / (span[1] - span[0] || 1)) * 9.999);
        levels[line].push(level);
        ctx.fillStyle = shade(0.05 + ((level + 0.5) / 10) * 0.9);
        ctx.fillRect(px - size / 2, py - size / 2, size + 0.5, size + 0.5);
      }
    }
    ctx.fillStyle = theme.ground;
    ctx.globalAlpha = 0.5;
    levels.forEach((row, line) => row.forEach((level, column) => {
      if (column && row[column - 1] !== level) ctx.fillRect(box.left + column * size, box.top + line * size, 1, size);
      if (line && levels[line - 1][column] !== level) ctx.fillRect(box.left + column * size, box.top + line * size, size, 1);
    }));
    ctx.globalAlpha = 1;
  }

  // Boxes

  /** Runs by the value of x: by words, or by each number if there are few of them, else by ten equal parts. */
  group(runs) {
    const { x, y } = this;
    this.bins = [];
    if (!x || !y) return;
    const numbers = [...new Set(this.points.map((point) => point.x))].sort((a, b) => a - b);
    const span = spanOf(numbers);
    const parts = !x.numeric || numbers.length <= 12 || !span ? null : Array.from({ length: 10 }, (_, n) => span[0] + ((span[1] - span[0]) * n) / 10);
    for (const point of this.points) {
      let at = x.numeric ? numbers.indexOf(point.x) : point.x;
      if (parts && span) at = Math.min(9, Math.floor(((point.x - span[0]) / (span[1] - span[0])) * 10));
      const name = parts ? `${formatNumber(Number(parts[at].toPrecision(3)))}…` : x.numeric ? formatNumber(point.x) : x.words[point.x];
      const bin = this.bins[at] || (this.bins[at] = { name, values: [], runs: [] });
      bin.values.push(point.y);
      bin.runs.push(point.run);
    }
    this.bins = this.bins.filter(Boolean);
    for (const bin of this.bins) bin.values.sort((a, b) => a - b);
    this.points.forEach((point) => { point.x = this.bins.findIndex((bin) => bin.runs.includes(point.run)); });
  }

  boxes(ctx, x, y, theme) {
    this.bins.forEach(({ values }, n) => {
      const { low, first, median, third, high } = five(values);
      const middle = x.to(n), half = Math.min((x.to(1) - x.to(0)) * 0.3, 44);
      ctx.strokeStyle = ctx.fillStyle = colour(0);
      ctx.lineWidth = 1.4;
      ctx.globalAlpha = 0.18;
      ctx.fillRect(middle - half, y.to(third), half * 2, y.to(first) - y.to(third));
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.rect(middle - half, y.to(third), half * 2, y.to(first) - y.to(third));
      for (const [from, to] of [[third, high], [first, low]]) {
        ctx.moveTo(middle, y.to(from));
        ctx.lineTo(middle, y.to(to));
        ctx.moveTo(middle - half / 2, y.to(to));
        ctx.lineTo(middle + half / 2, y.to(to));
      }
      ctx.stroke();
      ctx.lineWidth = 2.6;
      ctx.beginPath();
      ctx.moveTo(middle - half, y.to(median));
      ctx.lineTo(middle + half, y.to(median));
      ctx.stroke();
      ctx.fillStyle = theme.muted;
      values.forEach((value, at) => {
        const inside = value >= low && value <= high;
        ctx.globalAlpha = inside ? 0.35 : 1;
        ctx.beginPath();
        // Beside each other, the same at every drawing.
        ctx.arc(middle + (inside ? (((at * 7919) % 13) / 13 - 0.5) * half : 0), y.to(value), inside ? 1.8 : 3, 0, 7);
        ctx.fill();
      });
      ctx.globalAlpha = 1;
    });
  }

  // Reading

  read(x, y, px, py) {
    const { x: fieldX, y: fieldY, z: fieldZ } = this;
    if (!fieldX || !fieldY || !fieldZ) return null;
    if (this.mode === "box") {
      const n = Math.round(x.from(px)), bin = this.bins[n];
      if (!bin) return null;
      const parts = five(bin.values);
      const rows = [["greatest", bin.values[bin.values.length - 1]], ["upper quartile", parts.third], ["median", parts.median], ["lower quartile", parts.first], ["least", bin.values[0]]];
      return { title: `${fieldX.label} ${bin.name} · ${bin.values.length} runs`, px: x.to(n), rows: rows.map(([label, value]) => ({ colour: colour(0), label, text: formatNumber(value), px: x.to(n), py: label === "median" ? y.to(value) : NaN })) };
    }
    let best = null;
    let least = Infinity;
    for (const point of this.points) {
      const far = (x.to(point.x) - px) ** 2 + (Number.isNaN(py) ? 0 : (y.to(point.y) - py) ** 2);
      if (far < least) [best, least] = [point, far];
    }
    if (!best || least > 60 ** 2) return null;
    const at = { px: x.to(best.x), py: y.to(best.y) }, fill = this.shadeOf(best.z, this.span());
    const { run } = best;
    return { title: run.name, px: at.px, rows: [fieldX, fieldY, ...(fieldZ === fieldX || fieldZ === fieldY ? [] : [fieldZ])].map((field) => ({ colour: fill, label: field.label, text: show(valueOf(run, field.id)), ...at, near: field === fieldY })) };
  }

  table() {
    const { x, y, z } = this;
    if (!x || !y || !z) return { head: [], rows: [] };
    const fields = this.mode === "box" ? [x, y] : [x, y, z];
    return { head: ["run", "run_id", ...fields.map((field) => field.label)], rows: this.points.map(({ run }) => [run.name, run.id, ...fields.map((field) => valueOf(run, field.id) ?? "")]) };
  }
}

/** Quartiles, and the last values within one and a half times their distance (Tukey). */
function five(sorted) {
  const at = (part) => {
    const place = part * (sorted.length - 1), low = Math.floor(place);
    return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };
  const [first, median, third] = [at(0.25), at(0.5), at(0.75)];
  const room = 1.5 * (third - first);
  return { first, median, third, low: sorted.find((v) => v >= first - room) ?? first, high: sorted.filter((v) => v <= third + room).pop() ?? third };
}
