// The secret of a mail's link stands behind "#": it reaches this page without being sent to any server. Send it by POST.
"use strict";

function readLink() {
  const secret = location.hash.slice(1);
  if (!/^[0-9A-Za-z_-]{20,100}$/.test(secret)) return;
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
  document.getElementById("secret").value = secret;
  document.getElementById("link-form").requestSubmit();
}

readLink();
addEventListener("hashchange", readLink); // a second link, opened in the same tab, loads no page
