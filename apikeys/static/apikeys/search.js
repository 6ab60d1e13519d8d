"use strict";

// A key that is pasted into the search is cut down to its id before it is sent: addresses end up in logs and histories.
document.addEventListener("submit", (event) => {
  const field = event.target.elements?.q;
  const found = /ollama_([0-9A-Za-z]+)_[0-9A-Za-z]+/.exec(field?.value ?? "");
  if (found) field.value = found[1];
});
