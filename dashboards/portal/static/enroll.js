// The token of a QR stands behind "#": it reaches this page without being sent to any server. Put it where it is used.
"use strict";

function readToken() {
  let token = "";
  try {
    token = decodeURIComponent(location.hash.slice(1)).toUpperCase();
  } catch {
    return; // no text: half an escape
  }
  if (!/^[0-9A-Z]{4}(-[0-9A-Z]{4}){2,6}$/.test(token)) return;
  document.getElementById("token").value = token;
  for (const place of document.querySelectorAll("[data-token]")) place.textContent = token;
  document.getElementById("token-read").hidden = false;
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
}

readToken();
addEventListener("hashchange", readToken); // a second QR, opened in the same tab, loads no page
