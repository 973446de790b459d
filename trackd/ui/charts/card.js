/** A chart in its card: title, options, legend, exports, and a table of what it shows. */

import { h } from "../dom.js";
import { menu } from "../parts/dialog.js";
import { fitted, SvgContext, themeOf } from "./paint.js";

/** Rows of a table that is shown; a file has all. */
const MOST_ROWS = 200;
const LEGEND = 12;

export class Card {
  /** `entries`: further lines of the menu, asked for when it opens. `pin`: a function of the new state. */
  constructor(title, chart, options = {}) {
    this.title = title;
    this.chart = chart;
    this.note = h("span", { class: "chart-note" });
    this.marks = h("div", { class: "chart-legend" });
    this.sheet = h("div", { class: "chart-table", hidden: true });
    const tools = menu(["⋯"], () => this.entries(options.entries ? options.entries() : []), { class: "chart-menu", "aria-label": `Options of ${title}`, title: "Options" });
    const pin = options.pin && h("button", { class: "chart-pin", "aria-pressed": String(!!options.pinned), title: options.pinned ? "Unpin" : "Pin", "aria-label": `Pin ${title}`, onclick: () => options.pin?.(!options.pinned) }, options.pinned ? "★" : "☆");
    this.el = h("figure", { class: "chart-card", "aria-label": title },
      h("figcaption", { class: "chart-head" }, h("span", { class: "chart-title", title }, title), this.note, pin, tools),
      chart.el, this.marks, this.sheet);
    this.el.addEventListener("chart-data", () => this.refresh());
  }

  destroy() { this.chart.destroy(); }

  refresh() {
    const marks = this.chart.legend ? this.chart.legend() : [];
    // Many have a list of their own beside the charts.
    this.marks.replaceChildren(...(marks.length > 1 && marks.length <= LEGEND ? marks : []).map((mark) => {
      const line = h("i", { class: "swatch line", style: { "border-top": `2px ${mark.dash?.length ? "dashed" : "solid"} ${mark.colour}` } });
      return h("span", { class: "legend-entry", title: mark.label }, line, h("span", {}, mark.label));
    }));
    if (!this.sheet.hidden) this.fill();
  }

  entries(own) {
    const name = this.title.replace(/[^\w.-]+/g, "_").slice(0, 80) || "chart";
    return [...own.map(({ label, checked, act }) => ({ label: checked ? `✓ ${label}` : label, act })),
      { label: this.sheet.hidden ? "Show as table" : "✓ Show as table", act: () => { this.sheet.hidden = !this.sheet.hidden; if (!this.sheet.hidden) this.fill(); } },
      { label: "Save as PNG", act: () => this.png(name) }, { label: "Save as SVG", act: () => this.svg(name) },
      { label: "Save as CSV", act: () => download(`${name}.csv`, csv(this.chart.table()), "text/csv") }];
  }

  fill() {
    const { head, rows } = this.chart.table();
    this.sheet.replaceChildren(
      h("table", {}, h("caption", {}, rows.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${rows.length} rows; the CSV file has all.` : `${rows.length} rows`),
        h("thead", {}, h("tr", {}, ...head.map((cell) => h("th", { scope: "col" }, cell)))),
        h("tbody", {}, ...rows.slice(0, MOST_ROWS).map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, String(cell))))))),
    );
    this.sheet.tabIndex = 0;
  }

  /** The whole card on a context: title, chart, legend. */
  paint(ctx, width, height, lines) {
    const theme = themeOf(this.el);
    ctx.fillStyle = theme.ground;
    ctx.fillRect(0, 0, width, height);
    ctx.fillStyle = theme.text;
    ctx.font = `600 13px ${theme.font}`;
    [ctx.textAlign, ctx.textBaseline] = ["left", "middle"];
    ctx.fillText(fitted(ctx, this.title, width - 24), 12, 16);
    this.chart.paint(ctx, 0, 28, width, height - 28 - lines * 18 - (lines ? 8 : 0), theme);
    const marks = this.chart.legend ? this.chart.legend() : [];
    const columns = Math.max(1, Math.floor(width / 200));
    [ctx.textAlign, ctx.textBaseline] = ["left", "middle"];
    ctx.font = `11px ${theme.font}`;
    for (let n = 0; lines && n < marks.length; n++) {
      const left = 12 + (n % columns) * ((width - 24) / columns), top = height - 10 - (lines - 1 - Math.floor(n / columns)) * 18;
      ctx.strokeStyle = marks[n].colour;
      ctx.lineWidth = 2;
      ctx.setLineDash(marks[n].dash || []);
      ctx.beginPath();
      ctx.moveTo(left, top);
      ctx.lineTo(left + 20, top);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.fillStyle = theme.text;
      ctx.fillText(fitted(ctx, marks[n].label, (width - 24) / columns - 34), left + 26, top);
    }
    this.chart.draw();
  }

  size() {
    const marks = this.chart.legend ? this.chart.legend().length : 0;
    const width = Math.max(this.chart.el.clientWidth, 480);
    const lines = marks > 1 ? Math.ceil(marks / Math.max(1, Math.floor(width / 200))) : 0;
    return { width, height: Math.max(this.chart.el.clientHeight, 260) + 36 + lines * 18, lines };
  }

  svg(name) {
    const { width, height, lines } = this.size();
    const ctx = new SvgContext(width, height);
    this.paint(ctx, width, height, lines);
    download(`${name}.svg`, ctx.toString(), "image/svg+xml");
  }

  png(name) {
    const { width, height, lines } = this.size();
    const canvas = h("canvas");
    [canvas.width, canvas.height] = [width * 2, height * 2];
    const ctx = canvas.getContext("2d");
    ctx.scale(2, 2);
    this.paint(ctx, width, height, lines);
    canvas.toBlob((blob) => { if (blob) download(`${name}.png`, blob, "image/png"); });
  }
}

/** A table as CSV (RFC 4180). */
export function csv({ head, rows }) {
  const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));
  return `\ufeff${[head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Let the browser save something. */
export function download(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
