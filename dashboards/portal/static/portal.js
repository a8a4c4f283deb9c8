// What the portal adds where JavaScript runs: nothing depends on it.
"use strict";

// Buttons that only a script can serve are hidden in the page and shown here.
for (const button of document.querySelectorAll("[data-needs-script]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.print !== undefined) window.print();
  if (button.dataset.copy) {
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    await navigator.clipboard.writeText(text);
    document.getElementById("copy-status").textContent = "Copié dans le presse-papiers.";
  }
});

// A closed menu for whoever clicks elsewhere or presses Escape.
const menu = document.querySelector(".phone-menu");
if (menu) {
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
