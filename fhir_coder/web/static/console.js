// The console works without this file. With it: shortcuts, copying, the viewer's zone, and live counts.
"use strict";

const go = new Map([...document.querySelectorAll("[data-go]")].map((a) => [a.dataset.go, a]));

// The viewer's zone, until one is chosen.
if (!/(^|; )fc_zone=/.test(document.cookie)) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; secure" : "";
  if (zone) document.cookie = `fc_zone=${zone}; path=/console; max-age=31536000; samesite=lax${secure}`;
}

// Copying a command.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// Dialogs: opened by a button, focus goes back to it.
for (const button of document.querySelectorAll("[data-opens]")) {
  button.hidden = false;
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}

// Shortcuts: one key, never while a person types.
let before = "";
const isTyping = (target) => target.matches("input, select, textarea, [contenteditable]");

function moveRow(step) {
  const rows = [...document.querySelectorAll("main tbody tr:has(a)")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  next.querySelector("a").focus();
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isTyping(event.target)) { event.target.blur(); return; }
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const prior = before;
  before = event.key === "g" ? "g" : "";
  const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (prior === "g" && go.has(event.key)) go.get(event.key).click();
  else if (event.key === "?") document.getElementById("shortcuts").showModal();
  else if (event.key === "/") document.querySelector("main input:not([type=hidden])")?.focus();
  else if (event.key === "j") moveRow(1);
  else if (event.key === "k") moveRow(-1);
  else if (event.key === "n" && !pressed) document.querySelector("[data-next]")?.click();
  else if (pressed) { pressed.matches("input, select, textarea") ? pressed.focus() : pressed.click(); }
  else return;
  event.preventDefault();
});

// Live pages: an element with data-live="ADDRESS" is told of changes; `data-live-id` elements inside are replaced,
// and a hint is shown where rows came that the list does not have yet.
for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  source.addEventListener("parts", (event) => {
    const page = new DOMParser().parseFromString(event.data, "text/html");
    for (const fresh of page.querySelectorAll("[data-live-id]")) {
      const old = document.querySelector(`[data-live-id="${CSS.escape(fresh.dataset.liveId)}"]`);
      if (old && !old.isEqualNode(fresh) && !old.contains(document.activeElement)) old.replaceWith(fresh);
    }
  });
  source.addEventListener("news", () => {
    for (const hint of document.querySelectorAll("[data-news]")) hint.hidden = false;
  });
  window.addEventListener("pagehide", () => source.close());
}

// Forms with a live preview: what a person chooses is tried as they choose. Without this script a button does it.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const shown = form.querySelector("#preview");
  for (const button of form.querySelectorAll("[data-without-script]")) button.hidden = true;
  const code = form.querySelector("#code");
  let waiting = 0;
  let asked = 0;
  const ask = async () => {
    const mine = ++asked;
    if (!code.value.trim()) return;
    shown.setAttribute("aria-busy", "true");
    const said = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.preview, { method: "POST", body: said, headers: { "X-Part": "1" } });
    const text = await answer.text();
    if (mine === asked && answer.headers.get("content-type")?.startsWith("text/html")) {
      shown.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    }
    shown.removeAttribute("aria-busy");
  };
  form.querySelector("[data-asks]").addEventListener("click", (event) => { event.preventDefault(); ask(); });
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 250); });
  for (const choice of document.querySelectorAll('[data-fills="code"]')) {
    choice.addEventListener("click", (event) => {
      event.preventDefault();
      code.value = choice.dataset.value ?? choice.value;
      code.focus();
      ask();
    });
  }
  if (code.value && !shown.querySelector(".inner, .note")) ask();
}
