/** Artifacts as a tree beside the preview of the one that is chosen. */

import { fill, h, icon } from "../dom.js";
import { size } from "../format.js";
import { preview } from "./preview.js";

/**
 * Where artifacts come from.
 * @typedef {{list: (path: string) => Promise<File[]>, file: (path: string) => string, frame: (path: string) => string, zip?: (path: string) => string, load?: (path: string) => string}} Source
 * @typedef {{path: string, is_dir: boolean, file_size?: number}} File
 * @typedef {{file: File, level: number, open: boolean, children: File[] | null}} Node
 */

/**
 * @param {{source: Source, path: string, choose: (path: string) => void, signal: AbortSignal, empty: () => import("../dom.js").Child}} options
 * `choose` is told the path that is shown
 */
export async function artifactTree({ source, path, choose, signal, empty }) {
  /** @type {Map<string, Node>} */ const nodes = new Map();
  /** @type {File[]} */ let roots = [];
  let chosen = path;
  const tree = h("ul", { role: "tree", "aria-label": "Artifacts", class: "tree" });
  const side = h("div", { class: "preview" });
  const el = h("div", { class: "files" }, tree, side);
  /** @type {AbortController} */ let showing = new AbortController();

  const rows = () => {
    /** @type {Node[]} */ const all = [];
    const add = (/** @type {File[]} */ files, /** @type {number} */ level) => {
      for (const file of sorted(files)) {
        let node = nodes.get(file.path);
        if (!node) nodes.set(file.path, node = { file, level, open: false, children: null });
        node.file = file;
        all.push(node);
        if (node.open && node.children) add(node.children, level + 1);
      }
    };
    add(roots, 1);
    return all;
  };

  const draw = (focus = false) => {
    const all = rows();
    const current = all.some((each) => each.file.path === chosen) ? chosen : all[0]?.file.path;
    fill(tree, all.map((node) => {
      const { path: own, is_dir: folder, file_size: bytes } = node.file;
      return h("li", { role: "treeitem", "aria-level": node.level, "aria-selected": String(own === chosen), "aria-expanded": folder ? String(node.open) : null, tabindex: own === current ? "0" : "-1", "data-path": own, title: own,
        style: { "padding-left": `${node.level * 14 - 6}px` }, onclick: () => { if (folder) toggle(node, own !== chosen || !node.open); show(node); } },
      h("span", { class: `twig${folder ? (node.open ? " open" : " closed") : ""}`, "aria-hidden": "true" }), icon(folder ? "folder" : "file"), h("span", { class: "cut" }, own.split("/").pop() || own), h("small", {}, folder ? "" : size(bytes || 0)));
    }));
    if (focus) /** @type {HTMLElement | null} */ (tree.querySelector("[tabindex='0']"))?.focus();
  };

  const toggle = async (/** @type {Node} */ node, /** @type {boolean} */ open) => {
    node.open = open;
    if (open && !node.children) node.children = await source.list(node.file.path);
    draw(tree.contains(document.activeElement));
  };

  const show = async (/** @type {Node} */ node) => {
    chosen = node.file.path;
    choose(chosen);
    draw(tree.contains(document.activeElement));
    showing.abort();
    showing = new AbortController();
    const { signal: mine } = showing;
    const { file } = node;
    const name = file.path.split("/").pop() || file.path;
    const shown = h("div", { class: "preview-body" });
    const where = file.is_dir ? source.zip?.(file.path) : source.file(file.path);
    fill(side, h("div", { class: "bar" }, h("h3", { class: "cut", title: file.path }, name), h("small", {}, file.is_dir ? "" : size(file.file_size || 0)), h("span", { class: "grow" }),
      where && h("a", { class: "button", href: where, download: file.is_dir ? `${name}.zip` : name }, icon("download"), file.is_dir ? "Download as zip" : "Download")), shown);
    try {
      const inside = file.is_dir ? await folderOf(node, source, AbortSignal.any([signal, mine])) : await preview({ ...file, name }, source, AbortSignal.any([signal, mine]));
      if (!mine.aborted) fill(shown, inside);
    } catch (error) {
      if (!mine.aborted && !signal.aborted) fill(shown, h("p", { class: "wrong", role: "alert" }, error instanceof Error ? error.message : String(error)));
    }
  };

  tree.addEventListener("keydown", (event) => {
    const all = rows(), at = all.findIndex((each) => each.file.path === /** @type {HTMLElement} */ (event.target).dataset.path), node = all[at];
    if (!node) return;
    const go = (/** @type {Node | undefined} */ to) => {
      if (!to) return;
      for (const each of /** @type {NodeListOf<HTMLElement>} */ (tree.querySelectorAll("li"))) {
        each.tabIndex = each.dataset.path === to.file.path ? 0 : -1;
        if (!each.tabIndex) each.focus();
      }
    };
    if (event.key === "ArrowDown") go(all[at + 1]);
    else if (event.key === "ArrowUp") go(all[at - 1]);
    else if (event.key === "Home") go(all[0]);
    else if (event.key === "End") go(all[all.length - 1]);
    else if (event.key === "ArrowRight" && node.file.is_dir && !node.open) toggle(node, true);
    else if (event.key === "ArrowLeft" && node.open) toggle(node, false);
    else if (event.key === "ArrowLeft") go(all.slice(0, at).reverse().find((each) => each.level < node.level));
    else if (event.key === "Enter" || event.key === " ") {
      if (node.file.is_dir) toggle(node, !node.open);
      show(node);
    } else return;
    event.preventDefault();
  });

  roots = await source.list("");
  if (!roots.length) fill(el, empty());
  draw();
  // The way down to the one that the URL names.
  const steps = path ? path.split("/") : [];
  for (let n = 1; n <= steps.length; n++) {
    const node = nodes.get(steps.slice(0, n).join("/"));
    if (!node) break;
    if (node.file.is_dir) await toggle(node, true);
    if (n === steps.length) await show(node);
  }
  if (!path && roots.length) fill(side, h("p", { class: "muted empty" }, "Choose a file to see it."),
    source.zip && h("p", { class: "empty" }, h("a", { class: "button", href: source.zip(""), download: "" }, icon("download"), "Download all as zip")));
  return el;
}

function sorted(/** @type {File[]} */ files) {
  return files.slice().sort((a, b) => Number(b.is_dir) - Number(a.is_dir) || a.path.localeCompare(b.path, undefined, { numeric: true }));
}

const STEP = /^(?:.*\/)?([^/]+?)([%+])step\2(-?\d+)\2timestamp\2(\d+)\2[^/]*\.(png|webp)$/;

/** What a folder holds; images that were logged with a step get a slider. @param {Node} node @param {Source} source @param {AbortSignal} signal */
async function folderOf(node, source, signal) {
  const files = node.children || await source.list(node.file.path);
  /** @type {Map<string, {step: number, time: number, path: string}[]>} */ const keys = new Map();
  for (const { path } of files) {
    const found = STEP.exec(path);
    // Each is there twice: whole, and small as WebP.
    if (!found || found[5] !== "png") continue;
    const key = found[1].replaceAll("#", "/").replaceAll("~", "/");
    keys.set(key, [...(keys.get(key) || []), { step: Number(found[3]), time: Number(found[4]), path }]);
  }
  if (!keys.size) {
    const folders = files.filter((each) => each.is_dir).length, bytes = files.reduce((sum, each) => sum + (each.file_size || 0), 0);
    const inside = h("p", { class: "muted" }, `${files.length - folders} files, ${size(bytes)}${folders ? `, and ${folders} folders` : ""}`);
    const model = files.find((each) => each.path.endsWith("/MLmodel"));
    return [inside, model && await preview({ ...model, name: "MLmodel" }, source, signal)];
  }
  return [...keys].map(([key, images]) => steps(key, images.sort((a, b) => a.step - b.step || a.time - b.time), source));
}

/** @param {string} key @param {{step: number, path: string}[]} images @param {Source} source */
function steps(key, images, source) {
  const picture = h("img", { class: "picture" }), words = h("output", {});
  const show = (/** @type {number} */ n) => {
    picture.src = source.file(images[n].path);
    picture.alt = `${key} at step ${images[n].step}`;
    fill(words, `step ${images[n].step} (${n + 1} of ${images.length})`);
  };
  const slider = h("input", { type: "range", min: "0", max: String(images.length - 1), value: String(images.length - 1), "aria-label": `Step of ${key}`, oninput: () => show(Number(slider.value)) });
  show(images.length - 1);
  return h("figure", { class: "steps" }, h("figcaption", {}, h("strong", {}, key), " ", words), images.length > 1 && slider, picture);
}
