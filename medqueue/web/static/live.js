// Keeps the page up to date: fetches it again and replaces its main part. Pauses on request,
// in a hidden tab, and while somebody selects text or moves through the page by keyboard.
"use strict";

const EVERY_MS = 3000;
const main = document.querySelector("main");
const state = document.getElementById("live-state");
const toggle = document.getElementById("live-switch");
let paused = false;

function isBusy() {
  const selection = document.getSelection();
  return document.hidden || main.contains(document.activeElement) || (selection && !selection.isCollapsed);
}

async function refresh() {
  if (paused || isBusy()) return;
  try {
    const response = await fetch(location.href);
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!paused && !isBusy()) main.replaceChildren(...page.querySelector("main").childNodes);
    state.textContent = "Live";
  } catch {
    state.textContent = "No connection; trying again";
  }
}

toggle.addEventListener("click", () => {
  paused = !paused;
  toggle.textContent = paused ? "Resume" : "Pause";
  toggle.setAttribute("aria-pressed", String(paused));
  state.textContent = paused ? "Paused" : "Live";
});
toggle.parentElement.hidden = false;
setInterval(refresh, EVERY_MS);
