/** Runs compared: curves, parallel coordinates, scatter, contour and box plots, and side by side. */

import { get, onChange } from "../api.js";
import { h, stylesheet } from "../dom.js";
import { Board, MOST_RUNS } from "./board.js";
import { Card, csv, download } from "./card.js";
import { loadRuns } from "./data.js";
import { fieldsOf, pick } from "./fields.js";
import { Parallel } from "./parallel.js";
import { Scatter } from "./scatter.js";
import { sides, sidesTable } from "./sides.js";

const TABS = ({ curves: "Curves", parallel: "Parallel", scatter: "Scatter", contour: "Contour", box: "Box", sides: "Side by side" });

export class Compare {
  /** Fills ``place`` until the signal. ``link`` makes the address of a run's page. */
  constructor(place, ids, params, signal, link = (run) => `#${run.id}`) {
    this.ids = ids;
    this.params = params;
    this.signal = signal;
    this.link = link;
    this.runs = [];
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Ways to compare" }, ...Object.entries(TABS).map(([id, text]) => h("button", { role: "tab", id: `tab-${id}`, "aria-controls": "compare-panel", onclick: () => { params.set({ tab: id === "curves" ? null : id }); this.open(); } }, text)));
    this.tabs.addEventListener("keydown", (event) => {
      const all = [.../** @type {any} */ (this.tabs.children)];
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
      next.focus();
      next.click();
    });
    this.panel = h("div", { id: "compare-panel", role: "tabpanel", class: "compare-panel" });
    stylesheet("charts/charts.css");
    place.append(this.tabs, this.panel);
    signal.addEventListener("abort", () => this.close());
    this.begin();
  }

  async begin() {
    const { version } = await get("trackd/changes", {}, { signal: this.signal });
    await this.load();
    this.open();
    onChange(() => this.load().then(() => this.refresh()), this.signal, version);
  }

  async load() { this.runs = await loadRuns(this.ids, this.signal); }

  tab() {
    const tab = this.params.get("tab") || "curves";
    return TABS[tab] ? tab : "curves";
  }

  close() {
    this.board?.destroy();
    this.card?.destroy();
    this.board = this.card = this.refill = undefined;
  }

  open() {
    this.close();
    const tab = this.tab();
    for (const button of /** @type {any} */ (this.tabs.children)) {
      const on = button.id === `tab-${tab}`;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${tab}`);
    this.panel.replaceChildren();
    if (tab === "curves") {
      this.board = new Board(this.params);
      this.panel.append(this.board.el);
    } else if (tab === "sides") this.openSides();
    else if (tab === "parallel") this.openParallel();
    else this.openScatter(tab);
    this.refresh();
  }

  refresh() {
    this.board?.setRuns(this.runs);
    this.refill?.();
  }

  bar(...parts) { return h("div", { class: "charts-bar" }, ...parts); }

  /** A list of fields that keeps its choice in the address. */
  chooser(name, label, wanted, first = (field) => field.id.startsWith("params")) {
    const select = h("select", { "aria-label": label });
    select.addEventListener("change", () => { this.params.set({ [name]: select.value }); this.refill?.(); });
    const fill = (fields) => {
      const fits = fields.filter(wanted);
      const chosen = pick(fits, this.params.get(name), first);
      const group = (kind, text) => h("optgroup", { label: text }, ...fits.filter((field) => field.id.startsWith(kind)).slice(0, 500).map((field) => h("option", { value: field.id }, field.label)));
      select.replaceChildren(group("params", "Parameters"), group("metrics", "Metrics"));
      if (chosen) select.value = chosen.id;
      return chosen;
    };
    return { el: h("label", {}, `${label} `, select), fill };
  }

  toggle(name, label) {
    const box = h("input", { type: "checkbox", checked: this.params.get(name) === "1" });
    box.addEventListener("change", () => { this.params.set({ [name]: box.checked ? "1" : null }); this.refill?.(); });
    return h("label", {}, box, ` ${label}`);
  }

  openScatter(mode) {
    const chart = new Scatter(mode);
    const card = this.card = new Card({ scatter: "Scatter plot", contour: "Contour map", box: "Box plots" }[mode], chart);
    const any = () => true, number = (field) => field.numeric, metric = (field) => field.id.startsWith("metrics");
    const x = this.chooser("px", mode === "box" ? "By" : "X", any, (field) => !metric(field) && (mode !== "contour" || field.numeric));
    let above = "";
    // A map has params on both axes; the second is not the first.
    const y = this.chooser("py", "Y", mode === "box" ? number : any, mode === "contour" ? (field) => field.numeric && field.id !== above : metric);
    const z = this.chooser("pz", mode === "contour" ? "Height" : "Colour", mode === "contour" ? number : any, metric);
    this.panel.append(this.bar(x.el, y.el, mode === "box" ? "" : z.el, mode === "box" ? "" : this.toggle("lx", "Log x"), this.toggle("ly", "Log y")), h("div", { class: "chart-slot tall" }, card.el));
    this.refill = () => {
      const fields = fieldsOf(this.runs);
      const fx = x.fill(fields);
      above = fx?.id || "";
      const fy = y.fill(fields), fz = z.fill(fields);
      if (!fx || !fy) return;
      chart.set(this.runs, fx, fy, fz || fy, { lx: this.params.get("lx") === "1", ly: this.params.get("ly") === "1" });
      card.note.textContent = `${chart.points.length} of ${this.runs.length} runs`;
      chart.el.dataset.points = String(chart.points.length);
    };
  }

  openParallel() {
    const chart = new Parallel({
      brushed: (brushes) => this.params.set({ brush: Object.keys(brushes).length ? JSON.stringify(brushes) : null }),
      open: (run) => { location.assign(this.link(run)); },
      count: (text) => { card.note.textContent = text; },
    });
    const card = this.card = new Card("Parallel coordinates", chart);
    const list = h("div", { class: "menu-list checks" }, h("div", { class: "checks-rows", role: "group", "aria-label": "Axes" }));
    const menu = h("details", { class: "menu add" }, h("summary", { class: "button" }, "Axes"), list);
    const clear = h("button", { type: "button", onclick: () => { this.params.set({ brush: null }); this.refill?.(); } }, "Clear selection");
    this.panel.append(this.bar(menu, clear), h("div", { class: "chart-slot tall" }, card.el));
    this.refill = () => {
      const fields = fieldsOf(this.runs);
      const asked = this.params.all("axis");
      const differing = fields.filter((field) => field.differs && (field.numeric || field.words.length <= 30));
      const standard = [...differing.filter((field) => field.id.startsWith("params")).slice(0, Math.min(6, Math.max(2, Math.floor(this.panel.clientWidth / 100) - 2))), ...differing.filter((field) => field.id.startsWith("metrics")).slice(0, this.panel.clientWidth < 600 ? 1 : 3)];
      const chosen = asked.length ? asked.flatMap((id) => fields.filter((field) => field.id === id)) : standard;
      if (!menu.open) {
        list.children[0].replaceChildren(...fields.slice(0, 300).map((field) => {
          const box = h("input", { type: "checkbox", checked: chosen.includes(field) });
          box.addEventListener("change", () => {
            const now = new Set(this.params.all("axis").length ? this.params.all("axis") : standard.map((one) => one.id));
            if (box.checked) now.add(field.id);
            else now.delete(field.id);
            this.params.set({ axis: [...now] });
            this.refill?.();
          });
          return h("label", {}, box, ` ${field.label}`);
        }));
      }
      let brushes = {};
      try {
        brushes = JSON.parse(this.params.get("brush") || "{}") || {};
      } catch { /* a link that somebody has cut short */ brushes = {}; }
      chart.set(this.runs, chosen, brushes);
    };
  }

  openSides() {
    const search = h("input", { type: "search", placeholder: "Search keys", "aria-label": "Search keys", value: this.params.get("keys") || "" });
    search.addEventListener("input", () => { this.params.set({ keys: search.value || null }); this.refill?.(); });
    const save = h("button", { type: "button", onclick: () => download("runs.csv", csv(sidesTable(this.runs)), "text/csv") }, "Save as CSV");
    const table = h("div", {});
    this.panel.append(this.bar(search, this.toggle("diff", "Only differences"), save), table);
    this.refill = () => {
      const before = table.firstElementChild;
      const next = sides(this.runs.slice(0, MOST_RUNS), this.params.get("diff") === "1", search.value, this.link);
      const left = before?.scrollLeft || 0;
      table.replaceChildren(next);
      next.scrollLeft = left;
    };
  }
}
