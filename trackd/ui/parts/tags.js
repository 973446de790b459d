/** Tags that are set, changed and removed where they stand. */

import { fill, h, icon, iconButton } from "../dom.js";
import { oneLine } from "../format.js";
import { dialog } from "./dialog.js";

/**
 * @param {{tags: Map<string, string>, put: (key: string, value: string) => Promise<unknown>, drop: (key: string) => Promise<unknown>, editable?: boolean, changed?: () => unknown}} options
 */
export function tagEditor({ tags, put, drop, editable = true, changed }) {
  const el = h("div", { class: "chips", role: "group", "aria-label": "Tags" });
  const show = () => {
    const own = [...tags].filter(([key]) => !key.startsWith("mlflow."));
    fill(el, own.map(([key, value]) => h("span", { class: "chip", title: `${key}: ${value}` },
      editable ? h("button", { type: "button", class: "bare", title: "Change this tag", onclick: () => edit(key) }, face(key, value)) : face(key, value),
      editable && iconButton("close", `Remove the tag ${key}`, async () => { await drop(key); tags.delete(key); show(); changed?.(); }))),
    editable && h("button", { type: "button", class: "plain small", onclick: () => edit("") }, icon("plus"), "Tag"));
  };
  const face = (/** @type {string} */ key, /** @type {string} */ value) => [h("span", { class: "muted" }, oneLine(key, 60)), value ? ` ${oneLine(value, 80)}` : ""];
  const edit = async (/** @type {string} */ key) => {
    await editTag(key, tags.get(key) || "", async (name, value) => {
      await put(name, value);
      tags.set(name, value);
    });
    show();
    changed?.();
  };
  show();
  return { el, update: (/** @type {Map<string, string>} */ now) => { tags = now; show(); } };
}

/** Ask for a tag; `put` sets it. @param {string} key @param {string} value @param {(key: string, value: string) => Promise<unknown>} put */
export function editTag(key, value, put, title = key ? "Change tag" : "New tag") {
  const name = h("input", { type: "text", value: key, readonly: !!key, autofocus: !key, autocomplete: "off" });
  const area = h("textarea", { rows: "3", autofocus: !!key });
  area.value = value;
  return dialog(title, [h("label", { class: "field" }, h("span", {}, "Key"), name), h("label", { class: "field" }, h("span", {}, "Value"), area)], { action: "Save", act: () => put(name.value, area.value) });
}
